"""The database's schema: created, recognised by its stamp, compared with what it should be, read though it is older."""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import is_sqlite, postgres
from elspeth.audit.mapping import tables as records
from elspeth.audit.mapping import views
from elspeth.audit.mapping.tables import HELD_IN
from elspeth.audit.store import summary_views
from elspeth.audit.store.past_schemas import PAST
from elspeth.audit.store.place import Place
from elspeth.audit.store.postgres import schema as postgres_schema
from elspeth.errors import ElspethError, NewerVersion

APPLICATION_ID = 0x456C7370  # "Elsp"
VERSION = NEWEST.number
"""A schema belongs to the newest layout that is written into it."""

NEXT_STEP = "name another database with --database, or start a run, which creates one"


def statements() -> tuple[str, ...]:
    """The statements that create the newest schema, in order: tables, then views."""
    made = {name: statement for name, statement in _declared().items() if name not in HELD_IN}
    return (*made.values(), *records.statements().values(), *views.statements(), *summary_views.statements().values())


def plain_statements() -> tuple[str, ...]:
    """The statements that create all that people read as tables: the form in which evidence leaves a database."""
    return tuple(_declared().values())


def _declared() -> dict[str, str]:
    with _no_drivers():
        from peewee import SqliteDatabase  # peewee costs start-up time that only a new database has to pay

        from elspeth.audit.store.models import TABLES

    database = SqliteDatabase(":memory:")
    with database.bind_ctx(TABLES, bind_refs=False, bind_backrefs=False):
        return {
            table._meta.table_name: table._schema._create_table(safe=False).query()[0]  # type: ignore[attr-defined]
            for table in TABLES
        }


@contextmanager
def _no_drivers() -> Iterator[None]:
    """Keep peewee from importing drivers of servers, which takes longer than itself: nothing is asked of one here."""
    kept = [name for name in ("psycopg", "psycopg2") if name not in sys.modules]
    sys.modules.update(dict.fromkeys(kept))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in kept:
            del sys.modules[name]


def create(connection: Connection) -> None:
    """Create the newest schema in an empty database, in the transaction that is open."""
    if not is_sqlite(connection):
        postgres_schema.create(postgres(connection))
        return
    for statement in statements():
        connection.execute(statement)
    stamp(connection)


def create_plain(connection: Connection) -> None:
    """The same with tables in place of views: what somebody handed on is laid out as it came."""
    for statement in plain_statements():
        connection.execute(statement)
    stamp(connection)


def past(number: int) -> list[str]:
    """The statements that created the schema of an earlier version, in order."""
    found, waiting = [], ""
    for part in PAST[number].split(";"):
        waiting += part
        if not sqlite3.complete_statement(f"{waiting};"):  # a semicolon in a text
            waiting += ";"
        else:
            found.append(waiting.strip())
            waiting = ""
    return [statement for statement in found if statement]


def is_empty(connection: Connection) -> bool:
    """Whether the database holds no table at all, as a new file does."""
    if not is_sqlite(connection):
        return postgres_schema.is_empty(postgres(connection))
    return not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone() and not _application(connection)


def version(connection: Connection) -> int | None:
    """The version of the schema in this database, None if it is not ours."""
    if not is_sqlite(connection):
        return postgres_schema.version(postgres(connection))
    if _application(connection) != APPLICATION_ID:
        return None
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def check(connection: Connection, place: Place) -> None:
    """Raise `ElspethError` unless this database has the schema that this program writes."""
    found = _known(connection, place)
    if found < VERSION:
        raise ElspethError(
            f"{place} has schema version {found}, this program needs version {VERSION}",
            next_step="elspeth doctor --fix migrates it",
        )


def check_readable(connection: Connection, place: Place) -> None:
    """Raise `ElspethError` unless this database can be read here; an older one is from now on read like the newest.

    `NewerVersion` is raised where a later release brought it forward.
    """
    if _known(connection, place) < VERSION:
        _bridge(connection)


def _known(connection: Connection, place: Place) -> int:
    found = version(connection)
    if found is None:
        what = "is empty" if is_empty(connection) else "is a database of another program"
        raise ElspethError(f"{place} {what}, not an audit database", next_step=NEXT_STEP)
    if found > VERSION:
        raise NewerVersion(
            f"{place} has schema version {found}, this program knows versions up to {VERSION}",
            next_step="use the newer Elspeth that wrote it",
        )
    if found < VERSION and (found not in PAST or not is_sqlite(connection)):
        raise ElspethError(f"{place} has schema version {found}, which no release ever made", next_step=NEXT_STEP)
    return found


def _bridge(connection: Connection) -> None:
    """Put a view of its newest form in front of each table that had another one; the file is not touched."""
    reference = _made(plain_statements())
    try:
        wanted = {name: columns(reference, name) for name in tables(reference)}
    finally:
        reference.close()
    there = {name for kind, name in _objects(connection) if kind in ("table", "view")}
    connection.execute("PRAGMA query_only = 0")
    for name, newest in wanted.items():
        held = columns(connection, name) if name in there else []
        if set(newest) - set(held):
            selected = ", ".join(
                f'"{column}"' if column in held else f'{_told(held, column)} AS "{column}"' for column in newest
            )
            origin = f'FROM main."{name}"' if held else "WHERE 0"
            connection.execute(f'CREATE TEMP VIEW "{name}" AS SELECT {selected} {origin}')
    connection.execute("PRAGMA query_only = 1")


def _told(held: list[str], column: str) -> str:
    return views.row_index(held[0]) if held and column == "row_index" else "NULL"


def tables(connection: Connection) -> list[str]:
    """The tables of a database, SQLite's own aside."""
    if not is_sqlite(connection):
        return postgres_schema.tables(postgres(connection))
    rows = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table' ORDER BY name")
    return [name for (name,) in rows if not name.startswith("sqlite_")]


def columns(connection: Connection, table: str) -> list[str]:
    """The columns of a table, in order."""
    if not is_sqlite(connection):
        return postgres_schema.columns(postgres(connection), table)
    return [row[1] for row in connection.execute(f'PRAGMA main.table_info("{table}")')]


def _made(created: Sequence[str]) -> sqlite3.Connection:
    reference = sqlite3.connect(":memory:")
    for statement in created:
        reference.execute(statement)
    return reference


def stamp(connection: Connection) -> None:
    """Mark the database as one of the newest version."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def altered(connection: Connection) -> dict[str, str]:
    """The tables that are not as the newest schema has them, each with the statement that creates it anew.

    Where it has a view in place of a table, that is the statement of the view.
    """
    created = statements()
    reference = _made(created)
    try:
        expected = _objects(reference)
    finally:
        reference.close()
    found = _objects(connection)
    names = {statement.split('"', 2)[1]: statement for statement in created}
    return {name: names[name] for kind, name in expected if expected[kind, name] != found.get((kind, name))}


def differences(connection: Connection) -> list[str]:
    """What stands in the schema that should not, or stands otherwise, or is missing; a sentence each."""
    if not is_sqlite(connection):
        return postgres_schema.differences(postgres(connection))
    stamped = version(connection)
    reference = _made(past(stamped) if stamped is not None and stamped in PAST else statements())
    try:
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
    if stamped != VERSION and stamped not in PAST:
        sentences.append(f"the schema's stamp is {stamped}, not {VERSION}")
    return sentences


def _objects(connection: Connection) -> dict[tuple[str, str], str]:
    # Quotes and white space are how it was written, not what it means. SQLite's own tables (statistics) are its own.
    rows = connection.execute(
        "SELECT type, name, sql FROM main.sqlite_master WHERE name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    )
    return {(kind, name): re.sub(r'[\s"]+', "", sql or "").lower() for kind, name, sql in rows}


def _application(connection: Connection) -> int:
    return int(connection.execute("PRAGMA application_id").fetchone()[0])
