"""Where children run: a place starts a child, reaches it, watches it, and kills it."""
