"""Starting, driving and resuming runs."""
