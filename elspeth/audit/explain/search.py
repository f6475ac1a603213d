"""Finds rows of a run by what is in them. There is no index for this: every row is looked at."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from elspeth.audit.connection import Connection
from elspeth.audit.dialect import holds as holds_of
from elspeth.audit.dialect import stream
from elspeth.audit.explain.payload_reader import NO_LONGER_KEPT, PayloadReader
from elspeth.errors import SettingsError

MOST_FOUND = 1000


@dataclass(slots=True)
class Search:
    """What a search found: `(row index, line)` of rows, in order, and how many were looked at or could not be."""

    found: list[tuple[int, int | None]] = field(default_factory=list)
    scanned: int = 0
    unreadable: int = 0
    purged: int = 0


def conditions(words: tuple[str, ...]) -> dict[str, str]:
    """`FIELD=VALUE` as typed. Raises `SettingsError`."""
    wanted = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or not name.strip():
            raise SettingsError(f"{word!r} says nothing about a field", next_step='write --where "id=1543"')
        wanted[name.strip()] = value.strip()
    return wanted


def search(connection: Connection, run_id: str, wanted: dict[str, str], contents: PayloadReader) -> Search:
    """Look at every row of the run; all of `wanted` must hold. A field inside of another is named `outer.inner`."""
    result = Search()
    # SQLite looks for the texts first, which is quicker than to parse every row.
    texts = [json.dumps(value, ensure_ascii=False)[1:-1] for value in wanted.values()]
    holds_text = holds_of(connection, "source_data")
    holds = " AND ".join(holds_text for _ in texts)
    reach = (run_id, f"{run_id}~")
    count, purged = connection.execute(
        "SELECT count(*), count(CASE WHEN source_data IS NULL AND source_data_ref IS NULL THEN 1 END) FROM rows"
        " WHERE row_id >= ? AND row_id < ?",
        reach,
    ).fetchone()
    result.scanned, result.purged = count, purged
    for index, line, text, reference in stream(
        connection,
        "SELECT row_index, line, source_data, source_data_ref FROM rows WHERE row_id >= ? AND row_id < ?"
        f" AND (({holds}) OR (source_data IS NULL AND source_data_ref IS NOT NULL)) ORDER BY row_id",
        (*reach, *texts),
    ):
        content = contents.read(text, reference)
        row = content["values"]
        if row is None:
            result.purged += content["kept"] == NO_LONGER_KEPT
            result.unreadable += content["kept"] != NO_LONGER_KEPT
        elif all(_equals(_at(row, name), value) for name, value in wanted.items()):
            result.found.append((index, line))
            if len(result.found) == MOST_FOUND:
                break
    return result


_MISSING = object()


def _at(row: Any, name: str) -> Any:
    if isinstance(row, dict):
        if name in row:
            return row[name]
        outer, _, inner = name.partition(".")
        if inner and outer in row:
            return _at(row[outer], inner)
    return _MISSING


def _equals(value: Any, text: str) -> bool:
    if value is _MISSING:
        return False
    if isinstance(value, str):
        return value == text
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) == text
