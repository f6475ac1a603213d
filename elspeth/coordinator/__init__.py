"""Who works on which chunk, what is durable, and what may be forgotten."""
