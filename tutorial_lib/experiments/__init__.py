"""The experiments of the book, a folder each: its data, network, task and settings."""
