"""What the doctor asks of an audit database's schema, wherever the database is."""

from __future__ import annotations

from elspeth.audit.store import schema
from elspeth.audit.store.database import open_reader, translated_errors
from elspeth.audit.store.place import Place
from elspeth.errors import ElspethError


def unaltered_version(place: Place) -> int | None:
    """The version of the schema. Raises `ElspethError` where it cannot be read here, or is not as Elspeth made it."""
    connection = open_reader(place)
    try:
        with translated_errors(place):
            schema.check_readable(connection, place)
            found = schema.version(connection)
            if differences := schema.differences(connection):
                raise ElspethError(
                    f"the schema of {place} is not the one that Elspeth made", details=differences,
                    next_step="put it back as it was: what was added, altered or removed stands above",
                )  # fmt: skip
    finally:
        connection.close()
    return found
