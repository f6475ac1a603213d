"""Transforms and aggregations that come with Elspeth."""
