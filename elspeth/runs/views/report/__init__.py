"""The report of a run: one JSON value, and the page that draws it."""
