"""A PostgreSQL server of the tests' own: `server` runs one, `databases` makes databases, `fixtures` gives both."""
