"""Files that decide results beside the input: read whole, kept compact, looked up by key."""
