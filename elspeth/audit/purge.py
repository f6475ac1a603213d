"""Forgets the data of a finished run and gives its room back, piece by piece.

Clearing a column in place leaves half-empty pages, which SQLite neither merges nor gives away. So records are taken out
and put back without the data, some thousand in a transaction, and the pages that this frees are cut off the file: the
room needed beside the database is that of one piece.
"""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from actors.crash_points import crash_point
from elspeth.audit.chain.records import PURGEABLE
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import is_sqlite
from elspeth.audit.mapping.tables import HELD_IN, NAMES, STORED
from elspeth.audit.store import schema
from elspeth.audit.store.commits.commit_records import key_columns

if TYPE_CHECKING:
    from elspeth.audit.store.commits.ledger import Ledger

PURGE = "purge"
REMOVE = "remove"

ABOUT_ROWS = ("rows", "tokens", "token_parents", "node_states", "routing_events", "token_outcomes", "validation_errors",
              "transform_errors", "batches", "batch_members", "calls", "checkpoints")  # fmt: skip
"""What goes when a whole run is removed. What stays says that there was such a run, and who removed it."""

PIECE = 5000  # records in a transaction

_CLEARED = {
    **{table: columns for table, columns in PURGEABLE.items() if table not in HELD_IN},
    **{name: form.purgeable for name, form in STORED.items()},
}
_REMOVED = (*(table for table in ABOUT_ROWS if table not in HELD_IN), *STORED)
"""What is done where: a view cannot be written to, so it is done to the records that it is made of."""


def last_action(connection: Connection, run_id: str, action: str) -> int:
    """The number of the last commit in which an operator did this to the run; 0, which begins the run, if none."""
    (number,) = connection.execute(
        "SELECT max(commit_no) FROM operator_actions WHERE run_id = ? AND action = ?", (run_id, action)
    ).fetchone()
    return number if isinstance(number, int) else 0


def finished(connection: Connection, run_id: str, action: str) -> bool:
    """Whether the last `PURGE` or `REMOVE` of this run was carried out to its end: then it left no marks."""
    tables, column = (ABOUT_ROWS, "marks") if action == REMOVE else (tuple(PURGEABLE), "purgeable_marks")
    query = (
        f"SELECT 1 FROM commit_tables WHERE run_id = ? AND commit_no < ? AND length({column}) > 0"
        f" AND table_name IN ({', '.join('?' * len(tables))}) LIMIT 1"
    )
    number = last_action(connection, run_id, action)
    return number > 0 and connection.execute(query, (run_id, number, *tables)).fetchone() is None


def was_interrupted(connection: Connection, run_id: str) -> bool:
    """Whether a purge of this run was begun and left something."""
    begun = (action for action in (PURGE, REMOVE) if last_action(connection, run_id, action) > 0)
    return not all(finished(connection, run_id, action) for action in begun)


def forget(ledger: Ledger, run_id: str, *, whole: bool) -> None:
    """Clear the purgeable columns of a run, or remove all `ABOUT_ROWS`; with their marks, since four bytes tell too
    much of a short text. Done again, it finishes what was begun."""
    for table in _REMOVED if whole else _CLEARED:
        low = run_id
        while True:
            last = _remove(ledger, table, low, run_id) if whole else _clear(ledger, table, low, run_id)
            _give_back(ledger)
            crash_point("audit.in_purge")
            if last is None:
                break
            low = last
    marks = "marks = ?, purgeable_marks = NULL" if whole else "purgeable_marks = NULL"
    emptied = (b"",) if whole else ()
    tables = ABOUT_ROWS if whole else tuple(PURGEABLE)
    ledger.forget_names()
    with ledger.transaction():
        ledger.connection.execute(f"DELETE FROM {NAMES} WHERE run_id = ? AND name_no < 0", (run_id,))
        ledger.connection.execute(
            f"UPDATE commit_tables SET {marks} WHERE run_id = ? AND table_name IN ({', '.join('?' * len(tables))})",
            (*emptied, run_id, *tables),
        )
    _give_back(ledger)
    if not is_sqlite(ledger.connection):
        # What was deleted stays where it was until then.
        for table in (*(_REMOVED if whole else _CLEARED), NAMES, "commit_tables"):
            ledger.connection.execute(f"VACUUM {table}")


def _clear(ledger: Ledger, table: str, low: str, run_id: str) -> str | None:
    """One piece behind the key `low`; answers the last key of it, None at the end of the run."""
    connection, key = ledger.connection, key_columns(table)[0]
    columns = schema.columns(connection, table)
    kept = ", ".join("NULL" if column in _CLEARED[table] else f'"{column}"' for column in columns)
    held = " OR ".join(f"{column} IS NOT NULL" for column in _CLEARED[table])
    with ledger.transaction():
        high = _end_of_piece(connection, table, key, low, run_id)
        if high is None:
            return None
        reach = f"{key} > ? AND {key} <= ?"
        records = connection.execute(f"SELECT {kept} FROM {table} WHERE {reach} AND ({held})", (low, high)).fetchall()
        if records:
            connection.execute(f"DELETE FROM {table} WHERE {reach} AND ({held})", (low, high))
            connection.executemany(f"INSERT INTO {table} VALUES ({', '.join('?' * len(columns))})", records)
    return high


def _remove(ledger: Ledger, table: str, low: str, run_id: str) -> str | None:
    key = key_columns(table)[0]
    with ledger.transaction():
        high = _end_of_piece(ledger.connection, table, key, low, run_id)
        if high is not None:
            ledger.connection.execute(f"DELETE FROM {table} WHERE {key} > ? AND {key} <= ?", (low, high))
    return high


def _end_of_piece(connection: Connection, table: str, key: str, low: str, run_id: str) -> str | None:
    """The key up to which a piece behind `low` reaches. Records of one key (members of a batch) are in one piece."""
    row = connection.execute(
        f"SELECT max({key}) FROM"
        f" (SELECT {key} FROM {table} WHERE {key} > ? AND {key} < ? ORDER BY {key} LIMIT ?) AS piece",
        (low, run_id + "~", PIECE),
    ).fetchone()
    return None if row[0] is None else str(row[0])


def _give_back(ledger: Ledger) -> None:
    """Cut free pages off the end of the file, if the database was made for it; else they wait to be used again."""
    if isinstance(ledger.connection, sqlite3.Connection):
        # Each step of this pragma frees one page, and execute() takes only one step.
        ledger.connection.executescript("PRAGMA incremental_vacuum")
