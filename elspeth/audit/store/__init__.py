"""The audit database: its tables, how it is opened, and the one writer of it."""
