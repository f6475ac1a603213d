"""An audit database in a schema of PostgreSQL. Imported where one is opened, and nowhere else: it needs psycopg."""
