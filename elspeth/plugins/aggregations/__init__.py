"""Aggregations that come with Elspeth: what makes rows of a whole batch."""
