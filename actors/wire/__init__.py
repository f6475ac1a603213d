"""What is said between a far place and an agent on a node, and how it gets there whole and in order."""
