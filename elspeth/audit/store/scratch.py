"""A database for as long as it is open: in memory, or, where it grows, in a file that has no name."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from elspeth.audit.store import database
from elspeth.audit.store.place import Place
from elspeth.errors import Temporary


def scratch() -> sqlite3.Connection:
    """An empty database that nobody else can see, and that is gone when it is closed. Transactions are the caller's."""
    return sqlite3.connect("", isolation_level=None)


@contextmanager
def translated_errors(place: Place) -> Iterator[None]:
    """Turn SQLite's errors into ours where a scratch database is filled from one, `place`, that is only read."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_FULL:
            with database.translated_errors(place):
                raise
        raise Temporary(
            "the disk of temporary files is full",
            next_step="make room there, or set TMPDIR to a folder on another disk, then the same command again",
        ) from error
