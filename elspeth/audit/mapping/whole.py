"""Fills the tables of small records from tables as people read them: those of an earlier layout, piece by piece."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from elspeth.audit.chain.records import COLUMNS, Record
from elspeth.audit.mapping.names import Names
from elspeth.audit.mapping.pack import WAY, packed
from elspeth.audit.mapping.tables import REASON, StoredTable
from elspeth.ids import row_of

PIECE = 5000  # records of the first table at a time

Where = Callable[[str], str | None]
"""Under which name a table of `mapping.tables.HELD_IN` is to be read, quoted for SQL; None where it is not there."""


def fill(connection: sqlite3.Connection, form: StoredTable, where: Where) -> None:
    """Insert the records of one stored table, in the transaction that is open.

    What an id says is not stored, so a record whose id says otherwise comes out as its id says: who asks compares.
    """
    names: dict[str, Names] = {}
    width = len(form.columns)
    insert = f"INSERT INTO {form.name} ({', '.join(form.columns)}, commit_no) VALUES ({', '.join('?' * (width + 1))})"
    named = [(form.columns.index(name), name == REASON) for name in form.named]
    for records in _pieces(connection, form, where):
        for record in records:
            run = record[0][:8]
            if run not in names:
                names[run] = Names(connection, run)
            values = list(record)
            for at, purgeable in named:
                if isinstance(values[at], str):
                    (values[at],) = names[run].numbers([values[at]], purgeable)
            connection.execute(insert, values)


def _pieces(connection: sqlite3.Connection, form: StoredTable, where: Where) -> Iterator[list[Record]]:
    """The packed records with their commits, in pieces from key to key: what belongs together is together."""
    low: str | None = None
    read = where("rows")
    while True:
        high = _end(connection, form, where, low)
        tables: dict[str, list[Record]] = {}
        commits: dict[str, dict[str, Any]] = {}
        for table in form.holds:
            found = _between(connection, table, where(table), low, high)
            tables[table] = [record[:-1] for record in found]
            commits[table] = {record[0]: record[-1] for record in found}
        known: dict[str, Any] = {}
        if form.holds[0] == "node_states" and read is not None:
            first, last = row_of(low) if low else "", row_of(high) if high else None
            known = dict(
                connection.execute(
                    f"SELECT row_id, source_data_hash FROM {read} WHERE row_id >= ?1 AND (?2 IS NULL OR row_id <= ?2)",
                    (first, last),
                )
            )
        made = packed(tables, read=known, strict=False).get(form.name, [])
        yield [(*record, commits[_origin(form, record)][record[0]]) for record in made]
        if high is None:
            return
        low = high


def _origin(form: StoredTable, record: Record) -> str:
    """Which of the tables says in which commit a record was written: where it is of two, the first."""
    return form.holds[-1] if record[1] == WAY and len(form.holds) > 1 else form.holds[0]


def _end(connection: sqlite3.Connection, form: StoredTable, where: Where, low: str | None) -> str | None:
    """The key up to which a piece reaches, None where it is the last."""
    ends = []
    for table in form.holds:
        name, key = where(table), COLUMNS[table][0]
        if name is not None:
            row = connection.execute(
                f"SELECT {key} FROM {name} WHERE {key} > ? ORDER BY {key} LIMIT 1 OFFSET ?", (low or "", PIECE)
            ).fetchone()
            if row is not None:
                ends.append(row[0])
    return min(ends, default=None)


def _between(
    connection: sqlite3.Connection, table: str, name: str | None, low: str | None, high: str | None
) -> list[Record]:
    if name is None:
        return []
    key, *others = COLUMNS[table]
    held = {column[0] for column in connection.execute(f"SELECT * FROM {name} LIMIT 0").description}
    told = (f'"{column}"' if column in held else "NULL" for column in others)
    columns = ", ".join([f"CAST({key} AS TEXT)", *told])
    return connection.execute(
        f"SELECT {columns}, commit_no FROM {name} WHERE (?1 IS NULL OR {key} > ?1) AND (?2 IS NULL OR {key} <= ?2)"
        f" ORDER BY {key}",
        (low, high),
    ).fetchall()
