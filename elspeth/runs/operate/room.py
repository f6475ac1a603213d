"""How much room an audit database takes."""

from __future__ import annotations

from elspeth.audit.store.database import open_reader, translated_errors
from elspeth.audit.store.place import Place, PostgresPlace

_SIZE = """
    SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = ? AND c.relkind = 'r'
"""


def bytes_of(place: Place) -> int:
    """The bytes that a database takes now: of a file, or of the tables of a schema with their indexes."""
    if not isinstance(place, PostgresPlace):
        return place.stat().st_size
    connection = open_reader(place)
    try:
        with translated_errors(place):
            return int(connection.execute(_SIZE, (place.schema,)).fetchone()[0])
    finally:
        connection.close()
