"""Metrics and traces of a run that is driven, from its main process alone."""
