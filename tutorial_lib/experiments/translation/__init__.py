"""Chapter 43: translate; the task is that of ``sort``."""
