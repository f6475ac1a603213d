"""The `null` sink: takes every row and keeps none."""

from __future__ import annotations

from elspeth.outputs import OutputInfo
from elspeth.plugins.contract import Cut, Position, Row, Sink


class NullSink(Sink):
    """Counts rows and forgets them: for measuring, and for ends whose audit trail is all that matters."""

    name = "null"

    _rows = 0

    def inspect(self) -> Position:
        """No rows yet."""
        return {"rows": 0}

    def describe(self, position: Position) -> OutputInfo:
        """A number of rows, and no file."""
        return OutputInfo(rows=position["rows"])

    def check(self, position: Position) -> None:
        """There is nothing that could be damaged."""

    def open(self, position: Position, *, replace: bool = False) -> list[Cut]:
        """Count on from `position`."""
        self._rows = position["rows"]
        return []

    def write(self, rows: list[Row]) -> list[str | None]:
        """Take them all."""
        self._rows += len(rows)
        return [None] * len(rows)

    def flush(self) -> Position:
        """The number of rows taken so far."""
        return {"rows": self._rows}
