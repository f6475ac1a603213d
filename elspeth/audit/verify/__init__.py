"""Recomputes the evidence of a run, and names what does not hold."""
