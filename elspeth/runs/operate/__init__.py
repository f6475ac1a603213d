"""What an operator does to a run from outside it."""
