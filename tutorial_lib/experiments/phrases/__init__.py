"""Chapter 01: translate sentences of seven words, word for word but for two that change places."""
