"""Chapters 22 and 33: write the symbols of a sequence in order."""
