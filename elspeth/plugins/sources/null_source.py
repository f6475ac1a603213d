"""A source without rows, for pipelines that are only to be checked or drawn."""

from __future__ import annotations

from collections.abc import Iterator

from elspeth.plugins.contract import Cursor, Invalid, Row, Source


class NullSource(Source):
    """Yields no rows."""

    name = "null"

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        yield from ()
