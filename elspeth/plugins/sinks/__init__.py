"""Sinks that come with Elspeth."""
