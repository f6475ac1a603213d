"""The invariant checker: an opinion on a run that shares no code with the product."""
