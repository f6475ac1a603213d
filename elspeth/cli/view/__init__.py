"""What commands print: plans, progress, results, lineages and errors."""
