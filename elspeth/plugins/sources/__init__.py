"""Sources that come with Elspeth."""
