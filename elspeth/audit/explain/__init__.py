"""The lineage of a row, from the records."""
