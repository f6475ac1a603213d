"""Transforms that come with Elspeth: what makes rows of one row."""
