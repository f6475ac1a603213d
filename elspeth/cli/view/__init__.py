"""What commands print: plans, progress, results, stories and errors."""
