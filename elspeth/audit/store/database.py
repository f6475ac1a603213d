"""How the audit database is opened and left, whichever kind it is; each kind has a module of its own.

Nothing of PostgreSQL is imported where the database is a file.
"""

from __future__ import annotations

import sqlite3
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING

from elspeth.audit.connection import Connection
from elspeth.audit.store import sqlite_file
from elspeth.audit.store.place import Place, PostgresPlace, place_of
from elspeth.audit.store.sqlite_file import (
    BUSY_SECONDS,
    damaged,
    file_system,
    require_whole,
    side_files,
)
from elspeth.errors import ElspethError, Temporary

if TYPE_CHECKING:
    from elspeth.audit.store.postgres.connection import PostgresConnection

__all__ = [
    "BUSY_SECONDS",
    "Connection",
    "Place",
    "PostgresPlace",
    "damaged",
    "exists",
    "file_system",
    "identity",
    "leave_orderly",
    "open_reader",
    "open_writer",
    "out_of_place",
    "place_of",
    "require_whole",
    "side_files",
    "translated_errors",
]

Identity = tuple[int, int] | None


def open_writer(place: Place, mode: int | None = None) -> Connection:
    """Open for writing; a file is created where there is none, with `mode`, or as the umask says.

    Transactions are begun and ended by hand. Raises `Temporary` where somebody or something is in the way.
    """
    return _postgres(place, reading=False) if isinstance(place, PostgresPlace) else sqlite_file.open_writer(place, mode)


def open_reader(place: Place) -> Connection:
    """Open for reading only; never creates anything. Raises `Temporary` where it cannot be read now, `ElspethError`
    where it is no database."""
    return _postgres(place, reading=True) if isinstance(place, PostgresPlace) else sqlite_file.open_reader(place)


def exists(place: Place) -> bool:
    """Whether there is anything to open: a file. A server answers for itself."""
    return isinstance(place, PostgresPlace) or place.is_file()


def identity(place: Place) -> Identity:
    """Which file stands behind the path now: device and inode, None if there is none. A server has no such thing."""
    return None if isinstance(place, PostgresPlace) else sqlite_file.identity(place)


def out_of_place(place: Place, what: str) -> ElspethError:
    """The error of a run that does not find the database it is recorded in. `what` is what should stand there."""
    if not isinstance(place, PostgresPlace):
        return sqlite_file.out_of_place(place, what)
    return Temporary(
        f"the audit database {place} was emptied or replaced while it was written to",
        details=[f"{what} is not in it any more"],
        next_step="bring the database back and resume; or start the run again",
    )


def leave_orderly(connection: Connection) -> bool:
    """Close a writer's connection; answers whether the database is at rest now (False: others still use it)."""
    if isinstance(connection, sqlite3.Connection):
        return sqlite_file.leave_orderly(connection)
    connection.close()
    return True


def translated_errors(place: Place) -> AbstractContextManager[None]:
    """Turn errors of the database and of the system into ours: which database, what is wrong with it, what to do."""
    if isinstance(place, Path):
        return sqlite_file.translated_errors(place)
    from elspeth.audit.store.postgres.errors import translated_errors as translated  # imports a driver

    return translated(place)


def _postgres(place: PostgresPlace, *, reading: bool) -> PostgresConnection:
    from elspeth.audit.store.postgres.errors import require_driver  # none of it is needed where the database is a file

    require_driver()
    from elspeth.audit.store.postgres.connection import PostgresConnection

    return PostgresConnection(place, reading=reading)
