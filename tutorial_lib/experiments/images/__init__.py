"""Chapter 45: classify small images with a vision Transformer."""
