"""The coordinator's decisions, pure: who works on which chunk, what is released, and when that is committed."""
