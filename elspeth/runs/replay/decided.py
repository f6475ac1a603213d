"""What a replay decided, in a database of its own that is on no disk for longer than the replay takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

from elspeth import canonical
from elspeth.audit.chain.records import COLUMNS, KEY_LENGTH, Records
from elspeth.audit.store.scratch import scratch
from elspeth.execution.codec import SinkItems

_TABLES: Mapping[str, tuple[str, ...]] = {
    table: tuple(COLUMNS[table])
    for table in ("rows", "tokens", "token_parents", "node_states", "routing_events", "token_outcomes", "batches",
                  "batch_members")
}  # fmt: skip
"""The tables that are compared, with their columns in the order in which a recorder fills them."""

_REASONS = "node_states"
"""The table whose reasons are compared."""

_ERROR = _TABLES[_REASONS].index("error_json")
_NONE: Mapping[Path, Path] = MappingProxyType({})

_ENDED = ("outcome_id", "token_id", "outcome", "is_terminal", "sink_name", "sink_row", "error_json")


class Decided:
    """The records of a replay under the names that they have in an audit database; `with` lets go of them.

    `copies` says for which file a copy stood that was read in its place: reasons name the file.
    """

    def __init__(self, copies: Mapping[Path, Path] = _NONE) -> None:
        self._copies = [(_as_text(copy), _as_text(path)) for copy, path in copies.items()]
        self.connection = scratch()
        for table, columns in _TABLES.items():
            key = ", ".join(columns[: KEY_LENGTH.get(table, 1)])
            self.connection.execute(f"CREATE TABLE {table} ({', '.join(columns)}, PRIMARY KEY ({key})) WITHOUT ROWID")
        self.connection.execute("BEGIN")
        self._arrived: dict[str, int] = {}

    def __enter__(self) -> Decided:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.connection.close()

    def add(self, records: Records) -> None:
        """Take in what was decided."""
        for table, columns in _TABLES.items():
            if made := records.get(table):
                self._insert(table, columns, map(self._named, made) if self._copies and table == _REASONS else made)

    def _named(self, record: tuple[Any, ...]) -> tuple[Any, ...]:
        text = record[_ERROR]
        for copy, path in self._copies if text is not None else ():
            text = text.replace(copy, path)
        return (*record[:_ERROR], text, *record[_ERROR + 1 :])

    def _insert(self, table: str, columns: tuple[str, ...], made: Iterable[tuple[Any, ...]]) -> None:
        places = ", ".join("?" * len(columns))
        self.connection.executemany(f"INSERT OR REPLACE INTO {table} ({', '.join(columns)}) VALUES ({places})", made)

    def arrive(self, items: Mapping[str, SinkItems]) -> None:
        """Rows have come to sinks, which take them: each is written behind those that came before."""
        for sink, found in items.items():
            number = self._arrived.get(sink, 0)
            made = []
            for token, outcome, error in zip(found.tokens, found.outcomes, found.errors, strict=True):
                number += 1
                made.append((f"{token}=", token, outcome, 1, sink, number, error))
            self._arrived[sink] = number
            self._insert("token_outcomes", _ENDED, made)


def _as_text(path: Path) -> str:
    """A path as it stands inside of a text of JSON."""
    return canonical.to_text(str(path))[1:-1]
