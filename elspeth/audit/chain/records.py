"""The shape in which audit records travel and are inserted: plain tuples, in the newest layout.

Roles build these tuples; the audit role inserts them as they come. `run_id` and `commit_no` stand in every table and
are the same for all records of a commit, so they are added by the statement, not carried by each record.
They hold the columns in table order; the first column is the primary key, and records are chained in its order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from elspeth.audit.chain.layouts import NEWEST

Record = tuple[Any, ...]
Records = dict[str, list[Record]]

COLUMNS: dict[str, tuple[str, ...]] = {
    table: columns for table, columns in NEWEST.columns.items() if table not in ("runs", "run_attempts")
}
"""Per audited table, the columns a record carries, in order. `token_parents` and `batch_members` are keyed by their
first two columns; `nodes` and `edges` by run and id. Every other first column begins with the run id, so that all
records of a run lie next to each other; the ids of checkpoints sort by age."""

RANGED = tuple(table for table in COLUMNS if table not in ("nodes", "edges"))
"""Tables whose keys begin with the run's id."""

KEY_LENGTH: dict[str, int] = {"token_parents": 2, "batch_members": 2}
"""How many leading columns make the key, where it is more than the first."""

REFERENCES: dict[str, tuple[str, ...]] = {
    table: found
    for table, columns in COLUMNS.items()
    if (found := tuple(column for column in columns if column.endswith("_ref")))
}
"""Columns that name what is kept in the payload store; only tables that have some."""

INTEGERS = frozenset({"row_index", "line", "step_index", "attempt", "ordinal", "is_terminal", "sink_row", "call_index",
                      "sequence", "stage", "size_bytes", "pid", "process_start_ticks", "sequence_number",
                      "uid"})  # fmt: skip
FLOATS = frozenset({"duration_ms", "latency_ms", "process_start_time"})
"""Columns that are not text, by name. What is bound has exactly the column's type, so that what is read back is what
was chained; booleans are written as 0 and 1 by whoever makes the record."""

PURGEABLE: dict[str, tuple[str, ...]] = dict(NEWEST.purgeable)
"""Columns that hold what people wrote into rows: digested apart, so that a purge leaves the chain checkable."""

FIXED: dict[str, tuple[str, ...]] = {table: NEWEST.fixed(table) for table in NEWEST.columns}
"""Per audited table, the columns that never change: what the chain's first digest covers, in this order. Of `runs` and
`run_attempts`, the other columns are projections of supervision events; `heartbeat_number` and `heartbeat_at` alone
are covered by nothing."""


def record_type(table: str, columns: Sequence[str]) -> Any:
    """The type of a record of this table with these columns: keys are never NULL, the rest may be.

    A whole number passes for a float, and becomes one: its line in the chain would be another. Whoever makes a record
    makes its floats floats.
    """
    key = KEY_LENGTH.get(table, 1)
    kinds: list[Any] = []
    for place, column in enumerate(columns):
        kind: Any = int if column in INTEGERS else float if column in FLOATS else str
        kinds.append(kind if place < key else kind | None)
    return tuple[tuple(kinds)]  # type: ignore[misc]
