"""Whatever is changed, removed or put into an audit database on a server behind our back, verification finds it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.audit.mapping.typed_records import unmixed
from elspeth.audit.store import schema
from elspeth.audit.store.place import place_of
from elspeth.audit.store.postgres.connection import PostgresConnection
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.run import findings
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.postgres.databases import Database, fresh_database
from tests.kit.postgres.server import Server

TABLES = sorted(
    {*STORED, "names", "runs", "run_attempts", "commits", "commit_tables"}
    | {table for table in NEWEST.columns if table not in HELD_IN}
)
READ = sorted({*TABLES, *HELD_IN} - STORED.keys() - {"names"})
EXEMPT = {("run_attempts", "heartbeat_number"), ("run_attempts", "heartbeat_at")}
SAMPLE = 60
"""Columns that are tried among the usual tests; all of them in the campaign."""


@pytest.fixture(scope="module")
def database(_shared_server: Server) -> Iterator[Database]:
    with fresh_database(_shared_server) as made:
        writer = AuditWriter(place_of(made.url), signing_key=KEY)
        write(writer)
        writer.close()
        yield made


@pytest.fixture(autouse=True)
def _of_the_schema_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The schema is asked about in another session, which would wait for our transaction; it has its own tests."""
    monkeypatch.setattr(schema, "differences", lambda connection: [])


def write(writer: AuditWriter) -> None:
    """Two attempts and an end, with something in every column that such a run has."""
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 4), {"status": "interrupted"})
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    writer.commit(RUN, 2, rows(4, 9, number=2))
    writer.commit(RUN, 2, rows(9, 10, number=3), {"status": "completed", "completed_at": NOW, "failure": None})


@contextmanager
def undone(database: Database) -> Iterator[PostgresConnection]:
    """A connection in a transaction of which nothing stays."""
    connection = PostgresConnection(place_of(database.url), reading=False)  # type: ignore[arg-type]
    try:
        connection.execute("BEGIN DEFERRED")
        yield connection
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def found(connection: PostgresConnection) -> list[Discrepancy] | Exception:
    """What verification finds, or the error that it meets."""
    try:
        if not connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (RUN,)).fetchone():
            return ElspethError("there is no such run")
        return list(findings(connection, RUN, KEY))
    except (ElspethError, psycopg.Error) as error:  # a value that no view can read
        return error


def reads(connection: PostgresConnection) -> Any:
    """All that people read; None where something of it cannot be read any more."""
    try:
        return [connection.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in READ]
    except (ElspethError, psycopg.Error):
        return None


def columns(database: Database) -> list[tuple[str, str, str]]:
    """Table, column and type of all that is stored."""
    asked = "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = %s"
    return sorted(row for row in database.ask(asked, database.schema) if row[0] in TABLES)  # type: ignore[misc]


def others(kind: str, value: Any) -> list[Any]:
    """Other values of this type, some of which look much like it; None is one."""
    if kind == "bytea":
        return [None, b"x", *([bytes([value[0] ^ 1]) + value[1:]] if value else [])]
    if kind in ("bigint", "integer", "double precision"):
        return [None, (value or 0) + 1]
    digits = [f" {value}", f"0{value}"] if value and value.isdigit() else []
    return [None, "x", "'x", *([value + " "] if value else []), *digits]


def is_the_same(column: str, value: Any, other: Any) -> bool:
    """Whether a stored value is spelled otherwise, and whoever reads it, views or we, reads the same.

    A whole number is stored by its digits where a text might stand, and a server reads it with blanks around it, or
    zeros in front. There is no other record that such a change could make of it: a copy has the usual digits again.
    """
    if column == "is_terminal":
        return value is None  # that means what the outcome says, which can be said, too
    return isinstance(other, str) and unmixed(other) == unmixed(value)


def test_nothing_is_found_where_nothing_was_done(database: Database) -> None:
    with undone(database) as connection:
        assert found(connection) == []


@pytest.mark.parametrize("most", [SAMPLE, pytest.param(None, marks=pytest.mark.campaign)])
def test_a_changed_value_is_found(database: Database, most: int | None) -> None:
    known = columns(database)
    chosen = known if most is None else random.Random(15).sample(known, most)
    missed, tried = [], 0
    for table, column, kind in chosen:
        with undone(database) as connection:
            last = connection.execute(f'SELECT ctid, "{column}" FROM {table} ORDER BY 1 DESC LIMIT 1').fetchone()
            if last is None:
                continue
            place, value = last
            told = reads(connection)
            for other in others(kind, value):
                if other == value:
                    continue
                connection.execute("SAVEPOINT untouched")
                try:
                    connection.execute(f'UPDATE {table} SET "{column}" = ? WHERE ctid = ?', (other, place))
                except (ElspethError, psycopg.Error):  # NULL where the schema forbids it
                    connection.execute("ROLLBACK TO untouched")
                    continue
                if reads(connection) == told:
                    if not is_the_same(column, value, other):
                        missed.append((table, column, value, other))
                    connection.execute("ROLLBACK TO untouched")
                    continue
                tried += 1
                if bool(found(connection)) == ((table, column) in EXEMPT):
                    missed.append((table, column, value, other))
                connection.execute("ROLLBACK TO untouched")
    assert missed == []
    assert tried > len(chosen)


@pytest.mark.parametrize("which", ["ASC", "DESC"])
def test_a_removed_record_is_found(database: Database, which: str) -> None:
    missed = []
    for table in TABLES:
        with undone(database) as connection:
            there = f"SELECT ctid FROM {table} ORDER BY ctid {which} LIMIT 1"
            if connection.execute(f"DELETE FROM {table} WHERE ctid = ({there})").rowcount and not found(connection):
                missed.append(table)
    assert missed == []


def test_a_record_put_there_is_found(database: Database) -> None:
    missed = []
    for table, key, kind in columns(database):
        if table == "runs":  # another run is not this one's affair: its own verification finds it empty
            continue
        if key != (STORED[table].key if table in STORED else next(iter(NEWEST.columns.get(table, ())), None)):
            continue
        for new in [f"{key} || '!!'", f"'zzzzzzzz-' || {key}"] if kind == "text" else [f"{key} + 1000"]:
            with undone(database) as connection:
                names = [name for of, name, _ in columns(database) if of == table]
                values = ", ".join(new if name == key else f'"{name}"' for name in names)
                quoted = ", ".join(f'"{name}"' for name in names)
                put = f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table} LIMIT 1"
                if connection.execute(put).rowcount and not found(connection):
                    missed.append((table, new))
    assert missed == []
