"""The shape in which audit records travel and are inserted: plain tuples, one layout per table.

Roles build these tuples; the audit role inserts them as they come. `run_id` and `commit_no` stand in every table and
are the same for all records of a commit, so they are added by the statement, not carried by each record.
The layouts hold the columns in table order; the first column is the primary key, and records are chained in its order.
"""

from __future__ import annotations

from typing import Any

Record = tuple[Any, ...]
Records = dict[str, list[Record]]

COLUMNS: dict[str, tuple[str, ...]] = {
    "rows": ("row_id", "row_index", "source_node_id", "source_data_hash", "source_data", "source_data_ref", "line",
             "created_at"),
    "tokens": ("token_id", "row_id", "branch_name", "created_at"),
    "token_parents": ("token_id", "parent_token_id", "ordinal"),
    "node_states": ("state_id", "token_id", "node_id", "step_index", "attempt", "status", "input_hash", "output_hash",
                    "output_data", "output_data_ref", "error_json", "started_at", "completed_at", "duration_ms"),
    "routing_events": ("event_id", "state_id", "edge_id", "mode", "reason_json", "created_at"),
    "token_outcomes": ("outcome_id", "token_id", "outcome", "is_terminal", "sink_name", "sink_row", "batch_id",
                       "error_json", "recorded_at"),
    "validation_errors": ("error_id", "row_id", "node_id", "error", "raw_data", "line", "destination", "created_at"),
    "transform_errors": ("error_id", "token_id", "node_id", "error_json", "destination", "created_at"),
    "batches": ("batch_id", "node_id", "trigger_type", "status", "created_at", "completed_at"),
    "batch_members": ("batch_id", "token_id", "ordinal", "member_data"),
    "calls": ("call_id", "state_id", "call_index", "call_type", "status", "request_hash", "request_data",
              "response_hash", "response_data", "latency_ms", "created_at"),
    "nodes": ("node_id", "plugin_name", "node_type", "plugin_version", "determinism", "source_hash", "config_json",
              "config_hash", "sequence", "stage"),
    "edges": ("edge_id", "from_node_id", "to_node_id", "label", "mode"),
    "artifacts": ("artifact_id", "node_id", "kind", "path", "size_bytes", "content_hash", "created_at"),
    "supervision_events": ("event_id", "attempt", "child", "event", "pid", "detail", "at"),
    "checkpoints": ("checkpoint_id", "attempt", "sequence_number", "row_id", "token_id", "message", "created_at"),
    "operator_actions": ("action_id", "user", "uid", "command_line", "reason", "action", "detail", "created_at"),
}  # fmt: skip
"""Per audited table, the columns a record carries, in order. `token_parents` and `batch_members` are keyed by their
first two columns; `nodes` and `edges` by run and id. Every other first column begins with the run id, so that all
records of a run lie next to each other; the ids of checkpoints sort by age."""

KEY_LENGTH: dict[str, int] = {"token_parents": 2, "batch_members": 2}
"""How many leading columns make the key, where it is more than the first."""

INTEGERS = frozenset({"row_index", "line", "step_index", "attempt", "ordinal", "is_terminal", "sink_row", "call_index",
                      "sequence", "stage", "size_bytes", "pid", "process_start_ticks", "sequence_number",
                      "uid"})  # fmt: skip
FLOATS = frozenset({"duration_ms", "latency_ms", "process_start_time"})
"""Columns that are not text, by name. What is bound has exactly the column's type, so that what is read back is what
was chained; booleans are written as 0 and 1 by whoever makes the record."""

PURGEABLE: dict[str, tuple[str, ...]] = {
    "rows": ("source_data",),
    "node_states": ("output_data", "error_json"),
    "routing_events": ("reason_json",),
    "token_outcomes": ("error_json",),
    "validation_errors": ("raw_data",),
    "transform_errors": ("error_json",),
    "batch_members": ("member_data",),
    "calls": ("request_data", "response_data"),
}
"""Columns that hold what people wrote into rows: digested apart, so that a purge leaves the chain checkable."""

FIXED: dict[str, tuple[str, ...]] = {
    "runs": ("run_id", "started_at", "settings_path", "settings_json", "settings_hash", "pipeline_hash",
             "working_directory", "elspeth_version", "canonical_version"),
    "run_attempts": ("attempt", "host", "boot_id", "pid_namespace", "pid", "process_start_time",
                     "process_start_ticks", "container_id", "user",
                     "uid", "command_line", "lock_path", "overrides_json", "started_at"),
    **{table: tuple(column for column in columns if column not in PURGEABLE.get(table, ()))
       for table, columns in COLUMNS.items()},
}  # fmt: skip
"""Per audited table, the columns that never change: what the chain's first digest covers, in this order. Of `runs` and
`run_attempts`, the other columns are projections of supervision events; `heartbeat_number` and `heartbeat_at` alone
are covered by nothing."""


def layout(table: str) -> Any:
    """The type of a record of this table (of runs and attempts, as in `FIXED`): keys are never NULL, the rest may be.

    A whole number passes for a float, and becomes one: its line in the chain would be another. Whoever makes a record
    makes its floats floats.
    """
    key = KEY_LENGTH.get(table, 1)
    kinds: list[Any] = []
    for place, column in enumerate(COLUMNS.get(table) or FIXED[table]):
        kind: Any = int if column in INTEGERS else float if column in FLOATS else str
        kinds.append(kind if place < key else kind | None)
    return tuple[tuple(kinds)]  # type: ignore[misc]
