"""Reads the views of a file without having SQL write out hashes, times and names, which takes it longer than all else.

What is read is what the views say: `views` makes both, and what is not of the usual kind is asked of the view itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from elspeth.audit.mapping import views
from elspeth.audit.mapping.codes import text_of
from elspeth.audit.mapping.forms import SqliteForms

HASH = 32
MOST_TIMES = 100_000
"""Texts of times that are remembered; they come in order, so that the oldest are of no use."""

_NAMED = ("source_node_id", "node_id", "edge_id", "reason_json", "sink_name")

LATEST = 253_402_300_800_000
"""Milliseconds at which years begin to have five digits."""


class _Unwritten(SqliteForms):
    """A hash as its bytes, a time as its milliseconds, a name by its number; as they are where they are something else.

    A join to the table of names, or of runs, is left out by SQLite then: nothing of it is asked for.
    """

    def hash_of(self, column: str) -> str:
        return column

    def time_of(self, column: str, *later: str) -> str:
        last = later[-1] if later else column
        return f"CASE typeof({last}) WHEN 'integer' THEN {' + '.join((column, *later))} ELSE {last} END"

    def named(self, alias: str, column: str) -> str:
        return column


@cache
def select(table: str) -> str:
    """The SELECT that gives the columns of this view unwritten."""
    return views.selects(_Unwritten())[table]


class Writer:
    """Writes out what `select` gave of these columns of one table: the records of one run, in the order of their keys.

    The key is the first of the columns; the run's id, which need not be asked for, is written where `run_id` stands. A
    value of another kind is asked of the view in `connection`. Which names there are is asked at the beginning.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, run_id: str, columns: Sequence[str]) -> None:
        self._connection, self._table, self._columns = connection, table, columns
        self._run_id = run_id
        self._times: dict[int, str] = {}
        self._names: dict[Any, Any] = dict(
            connection.execute("SELECT name_no, name FROM names WHERE run_id = ?", (run_id,))
        )
        self._ways: dict[int, Callable[[Sequence[Any]], list[Any]]] = {
            place: self._hashes if column.endswith("_hash") else self._when if column.endswith("_at") else self._named
            for place, column in enumerate(columns)
            if column in _NAMED or column.endswith(("_hash", "_at"))
        }
        self._strange = False

    def written(self, records: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The same records, as the view says them."""
        if not records:
            return []
        self._strange = False
        columns: list[Sequence[Any]] = list(zip(*records, strict=True))
        for place, way in self._ways.items():
            columns[place] = way(columns[place])
        keys = columns[0]
        if self._run_of(keys[0]) is None or self._run_of(keys[-1]) is None:  # between two of the run there is no other
            columns[self._columns.index("run_id")] = [self._run_of(key) for key in keys]
        if not self._strange:
            return list(zip(*columns, strict=True))
        names = ", ".join(f'"{column}"' for column in self._columns)
        query = f"SELECT {names} FROM {self._table} WHERE {self._columns[0]} = ?"
        return [self._connection.execute(query, (key,)).fetchone() for key in keys]

    def _run_of(self, key: str) -> str | None:
        """What the view says of the run of a record: nothing, where its key does not go on as those of a run do."""
        return self._run_id if self._run_id + "-" < key < self._run_id + "." else None

    def _hashes(self, values: Sequence[Any]) -> list[Any]:
        return [value.hex() if type(value) is bytes and len(value) == HASH else value for value in values]

    def _named(self, values: Sequence[Any]) -> list[Any]:
        names = self._names
        return [names.get(value) if type(value) is int else value for value in values]

    def _when(self, values: Sequence[Any]) -> list[Any]:
        times = self._times
        if len(times) > MOST_TIMES:
            times.clear()
        found = []
        for value in values:
            if type(value) is int:
                text = times.get(value)
                if text is None:
                    if not 0 <= value < LATEST:
                        self._strange = True
                        return list(values)
                    text = times[value] = text_of(value)
                found.append(text)
            else:
                self._strange |= type(value) is float
                found.append(value)
        return found
