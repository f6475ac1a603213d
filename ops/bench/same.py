"""Whether two runs left the same audit records: everything but times, the run's own id, and what supervision did."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from elspeth.audit.chain.records import COLUMNS

TABLES = ("rows", "tokens", "token_parents", "node_states", "routing_events", "token_outcomes", "validation_errors",
          "transform_errors", "batches", "batch_members", "calls")  # fmt: skip
"""The tables about rows. The others describe the run, or say what happened to its processes."""

_TIMES = ("created_at", "recorded_at", "started_at", "completed_at", "duration_ms", "latency_ms")


def records(database: Path, tables: tuple[str, ...] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    """The records of a database's only run by table, in key order, its id written as `RUN`."""
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    try:
        (run,) = connection.execute("SELECT DISTINCT run_id FROM rows").fetchone()
        found = {}
        for table in tables:
            columns = [column for column in COLUMNS[table] if column not in _TIMES]
            rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table} ORDER BY 1, 2")
            found[table] = [
                tuple(value.replace(run, "RUN") if isinstance(value, str) else value for value in row) for row in rows
            ]
        return found
    finally:
        connection.close()
