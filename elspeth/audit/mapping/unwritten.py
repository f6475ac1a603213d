"""Reads the views of a file without having SQL write out hashes and times, which takes it longer than everything else.

What is read is what the views say: `views` makes both, and what is not of the usual kind is asked of the view itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from elspeth.audit.chain.records import COLUMNS
from elspeth.audit.mapping import views
from elspeth.audit.mapping.codes import text_of
from elspeth.audit.mapping.forms import SqliteForms

HASH = 32
MOST_TIMES = 100_000
"""Texts of times that are remembered; they come in order, so that the oldest are of no use."""

LATEST = 253_402_300_800_000
"""Milliseconds at which years begin to have five digits."""


class _Unwritten(SqliteForms):
    """A hash as its bytes, a time as its milliseconds; both as they are where they are something else."""

    def hash_of(self, column: str) -> str:
        return column

    def time_of(self, column: str, *later: str) -> str:
        last = later[-1] if later else column
        return f"CASE typeof({last}) WHEN 'integer' THEN {' + '.join((column, *later))} ELSE {last} END"


@cache
def select(table: str) -> str:
    """The SELECT that gives the columns of this view unwritten."""
    return views.selects(_Unwritten())[table]


class Writer:
    """Writes out what `select` gave, of one table: its columns as people read them, then others.

    Raises nothing: a value of another kind is asked of the view in `connection`.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, columns: Sequence[str]) -> None:
        self._connection, self._table, self._columns = connection, table, columns
        self._times: dict[int, str] = {}
        self._ways: dict[int, Callable[[Sequence[Any]], list[Any]]] = {
            place: self._hashes if column.endswith("_hash") else self._when
            for place, column in enumerate(columns)
            if column.endswith(("_hash", "_at"))
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
        if not self._strange:
            return list(zip(*columns, strict=True))
        names, key = ", ".join(f'"{column}"' for column in self._columns), COLUMNS[self._table][0]
        query = f"SELECT {names} FROM {self._table} WHERE {key} = ?"
        at = self._columns.index(key)
        return [self._connection.execute(query, (record[at],)).fetchone() for record in records]

    def _hashes(self, values: Sequence[Any]) -> list[Any]:
        return [value.hex() if type(value) is bytes and len(value) == HASH else value for value in values]

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
