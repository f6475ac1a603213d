"""Where the two databases want other words for the same: what is said so in statements that both carry out."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from elspeth.audit.connection import Connection, ServerConnection

STEPS = 10_000
"""Of SQLite's machine, between two times that it is asked whether to go on."""


def is_sqlite(connection: Connection) -> bool:
    """Whether the database is a file."""
    return isinstance(connection, sqlite3.Connection)


def postgres(connection: Connection) -> ServerConnection:
    """The same connection, known to be one with PostgreSQL."""
    return connection  # type: ignore[return-value]


def stream(connection: Connection, sql: str, parameters: Any = ()) -> Iterator[tuple[Any, ...]]:
    """The rows of an answer that may be larger than memory, one after the other."""
    if isinstance(connection, sqlite3.Connection):
        return connection.execute(sql, parameters)
    return postgres(connection).stream(sql, parameters)


def holds(connection: Connection, column: str) -> str:
    """That a column's text holds the text that is bound here."""
    return f"{'instr' if is_sqlite(connection) else 'strpos'}({column}, ?) > 0"


def json_field(connection: Connection, column: str, field: str) -> str:
    """The value of a field of a JSON object, as text."""
    if is_sqlite(connection):
        return f"json_extract({column}, '$.{field}')"
    # No text there holds what JSON writes as \\u0000, and where one does, the whole cannot be read as JSON.
    return rf"(CAST(replace({column}, '\u0000', '\u2400') AS JSON) ->> '{field}')"


def watch(connection: Connection, given_up: Callable[[], bool]) -> None:
    """Ask this now and then while the database works; once it says so, what is under way is given up."""
    if isinstance(connection, sqlite3.Connection):
        connection.set_progress_handler(given_up, STEPS)
    else:
        postgres(connection).watch(given_up)


def write_alone(connection: Connection) -> None:
    """In a transaction begun with `BEGIN DEFERRED`: from here on nobody else writes. Of a file that holds anyway."""
    if not is_sqlite(connection):
        postgres(connection).lock_writers()


def is_view(connection: Connection, name: str) -> bool:
    """Whether this is a view of the database: not a table, nor hidden by something temporary of the same name."""
    if not is_sqlite(connection):
        found = connection.execute("SELECT relkind = 'v' FROM pg_class WHERE oid = to_regclass(?)", (name,)).fetchone()
        return bool(found == (True,))
    found = connection.execute(
        "SELECT type FROM main.sqlite_master WHERE name = ?1"
        " UNION ALL SELECT 'other' FROM temp.sqlite_master WHERE name = ?1",
        (name,),
    ).fetchall()
    return bool(found == [("view",)])


def is_refusal(connection: Connection, error: Exception) -> bool:
    """Whether an insert was refused for what it holds: a key that is there already, a value that does not fit."""
    if isinstance(connection, sqlite3.Connection):
        return isinstance(error, sqlite3.IntegrityError)
    return str(getattr(error, "sqlstate", None) or "")[:2] in ("22", "23")


def is_nul(error: Exception) -> bool:
    """Whether such a refusal is one of a text with a NUL byte, which a server does not take."""
    return getattr(error, "sqlstate", None) == "22021"


def is_duplicate(error: Exception) -> bool:
    """Whether such a refusal is one of a key that is there already."""
    if isinstance(error, sqlite3.IntegrityError):
        return error.sqlite_errorcode in (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE)
    return getattr(error, "sqlstate", None) == "23505"
