"""Brings an audit database of an earlier schema forward, in one transaction, and proves that nothing of it was bent.

Tables that are made otherwise today are made anew beside the old ones and filled from them. Then every record is
digested again in the layout in which it was committed, and held against what its commit says; what does not agree must
be, to the byte, what stood in the old table. Before COMMIT the database is as it was, whatever dies.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from itertools import zip_longest
from pathlib import Path

from actors.crash_points import crash_point
from elspeth.audit.chain.layouts import LAYOUTS, NEWEST
from elspeth.audit.mapping.tables import HELD_IN, STORED, StoredTable
from elspeth.audit.mapping.whole import fill
from elspeth.audit.purge import PURGE, last_action
from elspeth.audit.store import schema, summary_views
from elspeth.audit.store.commits.commit_records import key_columns
from elspeth.audit.verify.table import TableVerifier
from elspeth.errors import ElspethError, Temporary

OLD = "before_"
"""What stands before the names of the old tables, until they are dropped."""

ROOM = 2.5
"""Times the size of what is made anew: its copy, and the log of it, which can be as large."""

SPARE = 8 << 20

Notify = Callable[[str], None]


def convert(connection: sqlite3.Connection, path: Path, notify: Notify) -> tuple[int, int]:
    """Bring the schema forward, in the transaction that is open; answers the versions before and after.

    Raises `Temporary` where there is not enough room, `ElspethError` where what was converted is not what there was.
    """
    before = schema.version(connection)
    if before is None or before not in LAYOUTS or before > schema.VERSION:
        raise ElspethError(
            f"nothing leads from schema version {before} to {schema.VERSION}", next_step=schema.NEXT_STEP
        )
    altered = schema.altered(connection)
    there = [table for table in altered if table in schema.tables(connection)]
    runs = [run_id for (run_id,) in connection.execute("SELECT run_id FROM runs ORDER BY run_id")]
    _require_room(connection, path, there)
    connection.execute("PRAGMA legacy_alter_table = ON")  # somebody's view of a table stays one of that table
    shown = {*HELD_IN, *summary_views.COLUMNS}
    for view in shown:
        if view in altered and view not in there:
            connection.execute(f'DROP VIEW IF EXISTS "{view}"')
    renewed = {table: statement for table, statement in altered.items() if table not in shown}
    for place, (table, statement) in enumerate(renewed.items(), 1):
        notify(f"version {before} to {schema.VERSION}: table {place} of {len(altered)}, {table}")
        _renew(connection, table, statement, table in there)
    for form in STORED.values():
        if any(table in there for table in form.holds):
            notify(f"version {before} to {schema.VERSION}: {' and '.join(form.holds)}")
            _repack(connection, form, [table for table in form.holds if table in there])
    for view in shown & altered.keys():
        connection.execute(altered[view])
    audited = [table for table in there if table in NEWEST.columns]
    for place, run_id in enumerate(runs, 1):
        notify(f"version {before} to {schema.VERSION}: comparing run {place} of {len(runs)}, {run_id}")
        for table in audited:
            _compare(connection, run_id, table)
    for table in there:
        if table not in audited:
            _compare_whole(connection, table)
        elif _count(connection, OLD + table) != _count(connection, table):  # a record that belongs to no run
            raise _bent(table)
    for table in there:
        connection.execute(f'DROP TABLE "{OLD}{table}"')
    schema.stamp(connection)
    if left := [sentence for sentence in schema.differences(connection) if not sentence.endswith("was added")]:
        raise ElspethError(f"{path} could not be brought forward: its schema was altered", details=left)
    crash_point("audit.in_migration")
    return before, schema.VERSION


def give_back(connection: sqlite3.Connection) -> None:
    """Cut what the old tables took off the file. Left undone, it is used again."""
    crash_point("audit.after_migration")
    # Each step of this pragma frees one page, and execute() takes only one step.
    connection.executescript("PRAGMA incremental_vacuum")


def _require_room(connection: sqlite3.Connection, path: Path, renewed: list[str]) -> None:
    counts = dict(connection.execute("SELECT table_name, sum(record_count) FROM commit_tables GROUP BY table_name"))
    part = sum(counts.get(table, 0) for table in renewed) / max(1, sum(counts.values()))
    needed = int(path.stat().st_size * part * ROOM) + SPARE
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise Temporary(
            f"there is not enough room to bring {path} forward: {free >> 20:,} MiB are free, {needed >> 20:,} needed",
            details=["nothing was changed; what is needed meanwhile is given back"],
            next_step="make room, then: elspeth doctor --fix",
        )


def _renew(connection: sqlite3.Connection, table: str, statement: str, there: bool) -> None:
    if there:
        held = schema.columns(connection, table)
        connection.execute(f'ALTER TABLE "{table}" RENAME TO "{OLD}{table}"')
    connection.execute(statement)
    if there:
        kept = set(schema.columns(connection, table))
        if lost := [column for column in held if column not in kept]:
            raise ElspethError(f"{table} has the column {lost[0]}, which no release made")
        names = ", ".join(f'"{column}"' for column in held)
        connection.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM "{OLD}{table}"')


def _repack(connection: sqlite3.Connection, form: StoredTable, there: list[str]) -> None:
    """Fill a table of small records from the tables that there are instead of its views, under their old names."""
    for table in there:
        connection.execute(f'ALTER TABLE "{table}" RENAME TO "{OLD}{table}"')
    old = schema.tables(connection)
    fill(connection, form, lambda table: f'"{OLD}{table}"' if OLD + table in old else None)


def _compare(connection: sqlite3.Connection, run_id: str, table: str) -> None:
    """Every commit's digest, from the records as they are now; where it differs, it must have differed before."""
    for commit_no in TableVerifier(
        connection, run_id, table, purged_before=last_action(connection, run_id, PURGE)
    ).disagreeing():
        was, now = (_lines(connection, name, table, run_id, commit_no) for name in (OLD + table, table))
        if any(one != other for one, other in zip_longest(was, now)):
            raise _bent(f"{table} of commit {commit_no} of run {run_id}")


def _count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()[0])


def _compare_whole(connection: sqlite3.Connection, table: str) -> None:
    names = ", ".join(f'"{column}"' for column in schema.columns(connection, OLD + table))
    old, new = f'SELECT {names} FROM "{OLD}{table}"', f'SELECT {names} FROM "{table}"'
    for one, other in ((old, new), (new, old)):
        if connection.execute(f"SELECT 1 FROM ({one} EXCEPT {other}) LIMIT 1").fetchone():
            raise _bent(table)


def _bent(what: str) -> ElspethError:
    return ElspethError(
        f"{what} would not be what it was",
        details=["the database was left as it is"],
        next_step="keep it, and report this",
    )


def _lines(connection: sqlite3.Connection, name: str, table: str, run_id: str, commit_no: object) -> Iterator[bytes]:
    """The records of a commit as text: all columns that the old table has."""
    columns = ", ".join(f'"{column}"' for column in schema.columns(connection, OLD + table))
    order = ", ".join(key_columns(table))
    for record in connection.execute(
        f'SELECT {columns} FROM "{name}" WHERE run_id = ? AND commit_no IS ? ORDER BY {order}', (run_id, commit_no)
    ):
        yield repr(record).encode()
