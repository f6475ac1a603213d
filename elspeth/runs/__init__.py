"""Starting, resuming and judging runs."""
