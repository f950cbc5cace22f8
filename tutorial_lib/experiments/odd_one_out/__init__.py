"""Chapter 42: find the odd one out of a set. Built on ``images``: its digits and its task."""
