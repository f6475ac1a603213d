"""What workers do with rows: a token goes through the graph, and what happens to it becomes a record. No processes."""
