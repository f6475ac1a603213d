"""How the records of a commit are inserted, in each of the two databases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain as chained
from typing import Any, Protocol

from elspeth.audit.chain.records import COLUMNS, FLOATS, INTEGERS, Record
from elspeth.audit.connection import Connection, ServerConnection
from elspeth.audit.dialect import is_sqlite, postgres
from elspeth.audit.mapping.stored_frames import Numbers, StoredFrame, stored_records
from elspeth.audit.mapping.tables import STORED
from elspeth.audit.mapping.typed_records import FLOAT, TEXT, WHOLE, column_types, typed
from elspeth.audit.store.commits.commit_records import PreparedCommit

TOGETHER = 100
"""Records to one statement: a step of SQLite for each record costs as much as half the record."""

COPIED = 50_000
"""Small records in memory at a time, where one command takes all of a commit."""


class Inserts(Protocol):
    """Inserts within the transaction that is open. Raises what the database raises where it refuses a record."""

    def plain(self, batch: PreparedCommit, table: str, number: int) -> None:
        """Insert the batch's records of a table that is stored as it is read."""

    def stored(self, batch: PreparedCommit, table: str, frames: list[StoredFrame], number: int, names: Numbers) -> None:
        """Insert small records, with the numbers that `names` gives to texts."""

    def undo(self) -> None:
        """After a refusal: let the transaction answer questions again."""


def inserts_of(connection: Connection) -> Inserts:
    """The way that this database takes records."""
    return SqliteInserts(connection) if is_sqlite(connection) else PostgresInserts(postgres(connection))


class SqliteInserts:
    """Many records to a statement."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def plain(self, batch: PreparedCommit, table: str, number: int) -> None:
        """Insert the batch's records of a table that is stored as it is read."""
        waiting: list[Record] = []
        for records in batch.records[table].pieces():
            waiting += records
            many = len(waiting) - len(waiting) % TOGETHER
            for start in range(0, many, TOGETHER):
                values = chained.from_iterable((number, *record) for record in waiting[start : start + TOGETHER])
                self._connection.execute(batch.insert(table, TOGETHER), tuple(values))
            del waiting[:many]
        self._connection.executemany(batch.insert(table), [(number, *record) for record in waiting])

    def stored(self, batch: PreparedCommit, table: str, frames: list[StoredFrame], number: int, names: Numbers) -> None:
        """Insert small records, with the numbers that `names` gives to texts."""
        width = len(STORED[table].columns)
        together, single, execute = batch.insert(table, TOGETHER), batch.insert(table), self._connection.execute
        for frame in frames:
            values = tuple(chained.from_iterable(stored_records(table, frame, names)))
            many = frame.count - frame.count % TOGETHER
            for start in range(0, many * width, TOGETHER * width):
                execute(together, (number, *values[start : start + TOGETHER * width]))
            for start in range(many * width, len(values), width):
                execute(single, (number, *values[start : start + width]))

    def undo(self) -> None:
        """Nothing: a statement that fails leaves the transaction as it was."""


class PostgresInserts:
    """One command to a table."""

    def __init__(self, connection: ServerConnection) -> None:
        self._connection = connection

    def plain(self, batch: PreparedCommit, table: str, number: int) -> None:
        """Insert the batch's records of a table that is stored as it is read."""
        columns = COLUMNS[table]
        types = [WHOLE if column in INTEGERS else FLOAT if column in FLOATS else TEXT for column in columns]
        rows = ((number, batch.run_id, *record) for records in batch.records[table].pieces() for record in records)
        self._copy(table, ("commit_no", "run_id", *columns), [WHOLE, TEXT, *types], rows)

    def stored(self, batch: PreparedCommit, table: str, frames: list[StoredFrame], number: int, names: Numbers) -> None:
        """Insert small records, with the numbers that `names` gives to texts."""
        form = STORED[table]
        columns, types = ("commit_no", *form.columns), [WHOLE, *column_types(form).values()]
        for some in _together(frames):
            # Names are inserted while these are made, which is not possible while they are copied.
            made = [typed(form, list(stored_records(table, frame, names))) for frame in some]
            self._copy(table, columns, types, ((number, *record) for record in chained.from_iterable(made)))

    def _copy(self, table: str, columns: tuple[str, ...], types: list[str], rows: Iterable[tuple[Any, ...]]) -> None:
        self._connection.execute("SAVEPOINT records")
        self._connection.copy(table, columns, types, rows)

    def undo(self) -> None:
        """A refusal ends the transaction there, but for what was before the last command."""
        self._connection.execute("ROLLBACK TO SAVEPOINT records")


def _together(frames: list[StoredFrame]) -> Iterator[list[StoredFrame]]:
    some: list[StoredFrame] = []
    for frame in frames:
        some.append(frame)
        if sum(held.count for held in some) >= COPIED:
            yield some
            some = []
    if some:
        yield some
