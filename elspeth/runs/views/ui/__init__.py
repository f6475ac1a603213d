"""The page of a database, live: a small server that only reads, and only answers who has its token."""
