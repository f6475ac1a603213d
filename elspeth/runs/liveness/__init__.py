"""Who drives a run, and whether it is alive."""
