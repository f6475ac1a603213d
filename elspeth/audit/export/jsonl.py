"""Audit records as lines of JSON: the one form in which they leave the database, for exports, sinks and the journal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from elspeth.audit.chain.layouts import FIRST, NEWEST
from elspeth.audit.chain.records import COLUMNS, FIXED

CHAIN: dict[str, tuple[str, ...]] = {
    "commits": ("commit_no", "attempt", "previous_digest", "digest", "record_count", "committed_at", "signature",
                "layout"),
    "commit_tables": ("commit_no", "table_name", "record_count", "digest", "marks", "purgeable_digest",
                      "purgeable_marks"),
}  # fmt: skip
"""The two tables that are the chain itself."""

STATE: dict[str, tuple[str, ...]] = {
    "runs": (*FIXED["runs"], "status", "completed_at", "attempt", "superseded_by", "failure"),
    "run_attempts": (*FIXED["run_attempts"], "heartbeat_number", "heartbeat_at", "ended_at", "end_reason"),
}
"""The two tables with columns that change, all their columns."""

TABLES: dict[str, tuple[str, ...]] = {**STATE, **COLUMNS, **CHAIN}
"""Every table of the audit database with its columns; `run_id` and `commit_no`, which stand in all, aside."""

BLOBS = frozenset({"marks", "purgeable_marks"})
"""Columns of bytes; as lines they are hexadecimal digits."""

_encode_lines = msgspec.json.Encoder().encode_lines


def columns_of(table: str) -> tuple[str, ...]:
    """The columns of a table's lines, in order."""
    return tuple(dict.fromkeys(("run_id", *TABLES[table], "commit_no")))


def added_later(table: str) -> frozenset[str]:
    """The columns that lines of the first layout did not have; where one is missing, it is NULL."""
    first = {*CHAIN["commits"]} - {"layout"} if table == "commits" else FIRST.columns.get(table)
    newest = CHAIN["commits"] if table == "commits" else NEWEST.columns.get(table, ())
    return frozenset() if first is None else frozenset(newest) - frozenset(first)


def named(table: str, rows: Iterable[Sequence[Any]]) -> list[dict[str, Any]]:
    """Records that hold `columns_of(table)`, with their columns' names."""
    columns = columns_of(table)
    if BLOBS.intersection(columns):
        rows = ([value.hex() if isinstance(value, bytes) else value for value in row] for row in rows)
    return [dict(zip(columns, row, strict=True)) for row in rows]


def lines(values: Iterable[dict[str, Any]]) -> bytes:
    """A line of JSON for each value."""
    return _encode_lines(values)
