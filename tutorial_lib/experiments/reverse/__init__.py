"""Chapter 41: reverse a sequence."""
