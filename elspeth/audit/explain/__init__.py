"""The story of a row, from the records."""
