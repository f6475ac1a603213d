"""The database's schema: created, recognised by its stamp, migrated forward, compared with what it should be."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path

from elspeth.errors import ElspethError

APPLICATION_ID = 0x456C7370  # "Elsp"
VERSION = 1

MIGRATIONS: Mapping[int, Callable[[sqlite3.Connection], None]] = {}
"""Per version, what leads from it to the next. Runs inside a transaction; must not commit."""

NEXT_STEP = "name another database with --database, or start a run, which creates one"


def statements() -> tuple[str, ...]:
    """The statements that create the newest schema, in order."""
    from peewee import SqliteDatabase  # peewee costs start-up time that only a new database has to pay

    from elspeth.audit.store.models import TABLES

    database = SqliteDatabase(":memory:")
    with database.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        return tuple(table._schema._create_table(safe=False).query()[0] for table in TABLES)  # type: ignore[attr-defined]


def create(connection: sqlite3.Connection) -> None:
    """Create the newest schema in an empty database, in the transaction that is open."""
    for statement in statements():
        connection.execute(statement)
    _stamp(connection, VERSION)


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the database holds no table at all, as a new file does."""
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() and not _application(connection)


def version(connection: sqlite3.Connection) -> int | None:
    """The version of the schema in this database, None if it is not ours."""
    if _application(connection) != APPLICATION_ID:
        return None
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(connection: sqlite3.Connection, path: Path) -> None:
    """Raise `ElspethError` unless this database has the schema that this program reads and writes."""
    found = version(connection)
    if found is None:
        what = "is empty" if is_empty(connection) else "is a database of another program"
        raise ElspethError(f"{path} {what}, not an audit database", next_step=NEXT_STEP)
    if found > VERSION:
        raise ElspethError(
            f"{path} has schema version {found}, this program knows versions up to {VERSION}",
            next_step="use the newer Elspeth that wrote it",
        )
    if found < VERSION:
        raise ElspethError(
            f"{path} has schema version {found}, this program needs version {VERSION}",
            next_step="elspeth doctor --fix migrates it",
        )


def migrate(connection: sqlite3.Connection) -> tuple[int, int]:
    """Bring the schema forward, in the transaction that is open; answers the versions before and after.

    Raises `ElspethError` where no migration leads from the version found.
    """
    before = version(connection)
    if before is None or before > VERSION or any(step not in MIGRATIONS for step in range(before, VERSION)):
        raise ElspethError(f"nothing leads from schema version {before} to {VERSION}", next_step=NEXT_STEP)
    for step in range(before, VERSION):
        MIGRATIONS[step](connection)
    _stamp(connection, VERSION)
    return before, VERSION


def differences(connection: sqlite3.Connection) -> list[str]:
    """What stands in the schema that should not, or stands otherwise, or is missing; a sentence each."""
    reference = sqlite3.connect(":memory:")
    try:
        create(reference)
        expected, found = _objects(reference), _objects(connection)
    finally:
        reference.close()
    sentences = [f"{kind} {name} is missing" for kind, name in sorted(expected.keys() - found.keys())]
    sentences += [f"{kind} {name} was added" for kind, name in sorted(found.keys() - expected.keys())]
    sentences += [
        f"{kind} {name} was altered"
        for kind, name in sorted(expected.keys() & found.keys())
        if expected[kind, name] != found[kind, name]
    ]
    stamp = version(connection)
    if stamp != VERSION:
        sentences.append(f"the schema's stamp is {stamp}, not {VERSION}")
    return sentences


def _objects(connection: sqlite3.Connection) -> dict[tuple[str, str], str]:
    # Quotes and white space are how it was written, not what it means. SQLite's own tables (statistics) are its own.
    rows = connection.execute("SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
    return {(kind, name): re.sub(r'[\s"]+', "", sql or "").lower() for kind, name, sql in rows}


def _application(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def _stamp(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {number}")
