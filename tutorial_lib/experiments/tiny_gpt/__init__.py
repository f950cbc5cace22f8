"""Chapter 44: a small language model of the Python reference."""
