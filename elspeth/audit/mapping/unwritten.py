"""Reads the views of a file without having SQL write out hashes, times and names, which takes it longer than all else.

Nor does SQL look up the token of every record: those of many are read at once. What is read is what the views say:
`views` makes both, and what is not of the usual kind is asked of the view itself.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from elspeth.audit.mapping import views
from elspeth.audit.mapping.codes import text_of
from elspeth.audit.mapping.forms import SqliteForms
from elspeth.audit.mapping.pack import SAME

HASH = 32
MOST_TIMES = 100_000
"""Texts of times that are remembered; they come in order, so that the oldest are of no use."""

_NAMED = ("source_node_id", "node_id", "edge_id", "reason_json", "sink_name")

LATEST = 253_402_300_800_000
"""Milliseconds at which years begin to have five digits."""


class _Unwritten(SqliteForms):
    """A hash as its bytes, a time as its milliseconds, a name by its number; as they are where they are something else.
    No token, and of its hash only that it is the same.

    A join to the table of names, of runs or of tokens is left out by SQLite then: nothing of it is asked for.
    """

    def hash_of(self, column: str) -> str:
        return column

    def time_of(self, column: str, *later: str) -> str:
        last = later[-1] if later else column
        return f"CASE typeof({last}) WHEN 'integer' THEN {' + '.join((column, *later))} ELSE {last} END"

    def named(self, alias: str, column: str) -> str:
        return column

    def or_same(self, column: str, other: str) -> str:
        return column

    def joined(self, column: str) -> str:
        return "NULL"


@cache
def select(table: str) -> str:
    """The SELECT that gives the columns of this view unwritten."""
    return views.selects(_Unwritten())[table]


class _Strange(Exception):
    """A value that only the view itself can write out."""


class _Times(dict[Any, Any]):
    """The text of each time, which is remembered; of what is no whole number, that."""

    def __missing__(self, value: Any) -> Any:
        text = self[value] = text_of(value) if type(value) is int else value
        return text


class Writer:
    """Writes out what `select` gave of these columns of one table: the records of one run, in the order of their keys.

    The key is the first of the columns; the run's id, which need not be asked for, is written where `run_id` stands. A
    value of another kind is asked of the view in `connection`. Which names there are is asked at the beginning.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, run_id: str, columns: Sequence[str]) -> None:
        self._connection, self._table, self._columns = connection, table, columns
        self._run_id = run_id
        self._times = _Times()
        self._names: dict[Any, Any] = dict(
            connection.execute("SELECT name_no, name FROM names WHERE run_id = ?", (run_id,))
        )
        self._behind = views.BEHIND_A_TOKEN.get(table)
        self._ways: dict[int, Callable[[Sequence[Any]], list[Any]]] = {
            place: self._hashes if column.endswith("_hash") else self._when if column.endswith("_at") else self._named
            for place, column in enumerate(columns)
            if column in _NAMED or column.endswith(("_hash", "_at"))
        }

    def written(self, records: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
        """The same records, as the view says them."""
        if not records:
            return []
        columns: list[Sequence[Any]] = list(zip(*records, strict=True))
        keys = columns[0]
        try:
            if self._behind is not None:
                self._find_tokens(columns, self._behind)
            for place, way in self._ways.items():
                columns[place] = way(columns[place])
        except _Strange:
            names = ", ".join(f'"{column}"' for column in self._columns)
            query = f"SELECT {names} FROM {self._table} WHERE {self._columns[0]} = ?"
            return [self._connection.execute(query, (key,)).fetchone() for key in keys]
        if self._run_of(keys[0]) is None or self._run_of(keys[-1]) is None:  # between two of the run there is no other
            columns[self._columns.index("run_id")] = [self._run_of(key) for key in keys]
        return list(zip(*columns, strict=True))

    def _run_of(self, key: str) -> str | None:
        """What the view says of the run of a record: nothing, where its key does not go on as those of a run do."""
        return self._run_id if self._run_id + "-" < key < self._run_id + "." else None

    def _find_tokens(self, columns: list[Sequence[Any]], behind: views.Behind) -> None:
        """Write the tokens that the ids name, and the hashes that are said to be theirs."""
        end, low, high = behind
        keys = columns[0]
        tokens = [key.rstrip(end)[:-1] for key in keys]
        wanted = set(tokens)
        read = {
            token: digest
            for token, digest in self._connection.execute(
                "SELECT token_id, source_data_hash FROM token_records WHERE token_id BETWEEN ? AND ?",
                (min(wanted), max(wanted)),
            )
            if token in wanted
        }
        # SQLite ends a text at a NUL byte when it counts characters.
        usual = len(read) == len(wanted) and "\0" not in "".join(keys)
        if not usual or not all(token + low < key < token + high for token, key in zip(tokens, keys, strict=True)):
            raise _Strange
        columns[self._columns.index("token_id")] = tokens
        if self._table == "node_states":
            given, after = self._columns.index("input_hash"), self._columns.index("output_hash")
            hashes = zip(tokens, columns[given], strict=True)
            columns[given] = [read[token] if value == SAME else value for token, value in hashes]
            hashes = zip(columns[given], columns[after], strict=True)
            columns[after] = [before if value == SAME else value for before, value in hashes]

    def _hashes(self, values: Sequence[Any]) -> list[Any]:
        return [value.hex() if type(value) is bytes and len(value) == HASH else value for value in values]

    def _named(self, values: Sequence[Any]) -> list[Any]:
        names = self._names
        return [names.get(value) if type(value) is int else value for value in values]

    def _when(self, values: Sequence[Any]) -> list[Any]:
        times = self._times
        if len(times) > MOST_TIMES:
            times.clear()
        kinds = set(map(type, values))
        numbers = values if kinds == {int} else [value for value in values if type(value) is int]
        if float in kinds or (numbers and not (min(numbers) >= 0 and max(numbers) < LATEST)):
            raise _Strange
        return list(map(times.__getitem__, values))
