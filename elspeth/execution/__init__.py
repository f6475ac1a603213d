"""What workers do with rows: a token walks the graph, and all that happens to it becomes a record. No processes."""
