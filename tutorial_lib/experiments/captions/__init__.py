"""Chapter 34: caption small pictures. Built on ``images``: its patches."""
