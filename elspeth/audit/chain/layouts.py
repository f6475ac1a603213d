"""Every layout in which records were ever digested: each commit says in which one its own were.

A layout names, per audited table, the columns that the chain covers, in the order in which they stand in a line. What
was digested stays digested as it was, so a layout that a release wrote never changes, and a test holds it to that.

To add a column to an audited table

1. add it to `_ADDED` here: to the newest layout if no release has written that one yet (no folder of
   `tests/kit/fixtures` is named after it), else to a new number. It stands behind the columns there were;
2. declare it in `store/models.py`, nullable, in front of `commit_no`; a column that is no text also in
   `store/records.py`;
3. give it its value where the record is made, and pin the layout anew in `tests/unit/audit/test_layouts.py`.

Everything else follows: databases are brought forward (`store/migration.py`), older ones are read as they are, exports
and journals carry it, and in records that an older layout digested it is NULL, which `verify` insists on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

_FIRST: dict[str, tuple[str, ...]] = {
    "runs": ("run_id", "started_at", "settings_path", "settings_json", "settings_hash", "pipeline_hash",
             "working_directory", "elspeth_version", "canonical_version"),
    "run_attempts": ("attempt", "host", "boot_id", "pid_namespace", "pid", "process_start_time",
                     "process_start_ticks", "container_id", "user", "uid", "command_line", "lock_path",
                     "overrides_json", "started_at"),
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

_PURGEABLE: dict[str, tuple[str, ...]] = {
    "rows": ("source_data",),
    "node_states": ("output_data", "error_json"),
    "routing_events": ("reason_json",),
    "token_outcomes": ("error_json",),
    "validation_errors": ("raw_data",),
    "transform_errors": ("error_json",),
    "batch_members": ("member_data",),
    "calls": ("request_data", "response_data"),
}

_ADDED: dict[int, dict[str, tuple[str, ...]]] = {
    2: {},
    3: {},
}
"""Per layout behind the first, what it added to the columns of each table."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns of each audited table are digested, in order; those in `purgeable` apart from the others.

    Of `runs` and `run_attempts`, only the columns that never change are digested. `signs_every_commit`: with a key at
    hand each commit is signed, not only the last one of an attempt.
    """

    number: int
    columns: Mapping[str, tuple[str, ...]]
    purgeable: Mapping[str, tuple[str, ...]]
    signs_every_commit: bool = True

    def fixed(self, table: str) -> tuple[str, ...]:
        """The columns of a table that no purge takes away."""
        apart = self.purgeable.get(table, ())
        return tuple(column for column in self.columns[table] if column not in apart)


FIRST = Layout(1, _FIRST, _PURGEABLE, signs_every_commit=False)
"""What the first releases wrote, which did not say so: their commits name no layout."""


def following(before: Layout, added: Mapping[str, tuple[str, ...]]) -> Layout:
    """The layout after `before`, with further columns."""
    columns = {table: (*held, *added.get(table, ())) for table, held in before.columns.items()}
    return Layout(before.number + 1, columns, before.purgeable)


def _all() -> dict[int, Layout]:
    known = {FIRST.number: FIRST}
    for number, added in _ADDED.items():
        known[number] = following(known[number - 1], added)
    return known


LAYOUTS: Mapping[int, Layout] = _all()
"""By number."""

NEWEST = LAYOUTS[max(LAYOUTS)]
"""What is written."""


def layout_of(number: object) -> Layout | None:
    """The layout that a commit names, None if there is no such one. A commit that names none is of the first."""
    if number is None:
        return FIRST
    if type(number) is not int or number <= FIRST.number:
        return None
    return LAYOUTS.get(number)
