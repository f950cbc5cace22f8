"""Chapter 43: translate. Built on ``sort``: its pairs and its task."""
