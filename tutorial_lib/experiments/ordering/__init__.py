"""Chapter 46: put the sentences of a story in order."""
