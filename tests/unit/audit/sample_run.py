"""A finished run whose records fill every column of every audited table, and the pieces it is made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from elspeth import canonical, ids
from elspeth.audit.store.records import Records
from elspeth.audit.store.writer import AuditWriter
from elspeth.coordinator.checkpoint import Checkpoint, start_checkpoint

RUN = "mf3k2a9x"
NOW = "2026-01-02T03:04:05.678Z"
KEY = b"a key for tests"

RUN_COLUMNS: dict[str, Any] = {
    "run_id": RUN, "settings_path": "pipeline.yaml", "settings_json": "{}", "settings_hash": "aa",
    "pipeline_hash": "bb", "working_directory": "/data", "elspeth_version": "0.1.0", "canonical_version": "1",
}  # fmt: skip
ATTEMPT: dict[str, Any] = {
    "host": "web-1", "boot_id": "boot", "pid_namespace": "4026531836", "pid": 4242, "process_start_time": 1700000000.5,
    "process_start_ticks": 99, "container_id": "c0ffee", "user": "ada", "uid": 1000, "command_line": "elspeth run",
    "lock_path": "/data/lock", "overrides_json": "{}",
}  # fmt: skip


def beginning() -> Records:
    """What is recorded when a run begins: two nodes, an edge, checkpoint 0."""
    return {
        "nodes": [
            ("source", "csv", "source", "1.0", "deterministic", "ab", "{}", "cd", 0, 0),
            ("gate", "gate", "gate", "1.0", "deterministic", "ab", "{}", "cd", 1, 0),
        ],
        "edges": [("gate:true", "gate", "high", "true", "move")],
        "checkpoints": [(ids.checkpoint_id(RUN, 0), 1, 0, None, None, start_checkpoint({}).to_json(), NOW)],
    }


def rows(first: int, last: int, *, number: int = 1, run: str = RUN) -> Records:
    """The records of rows first..last-1 through one gate, with a checkpoint behind them."""
    records: Records = {
        table: [] for table in ("rows", "tokens", "node_states", "routing_events", "token_outcomes", "checkpoints")
    }
    for index in range(first, last):
        row = ids.row_id(run, index)
        data = {"id": index, "amount": index * 10}
        digest = canonical.sha256(data)
        text = canonical.to_text(data)
        records["rows"].append((row, index, "source", digest, text, "ref", index + 2, NOW))
        records["tokens"].append((row, row, "left", NOW))
        records["node_states"].append(
            (f"{row}:1", row, "gate", 1, 1, "completed", digest, digest, text, "ref", "{}", NOW, NOW, 0.25)
        )
        records["routing_events"].append((f"{row}:1", f"{row}:1", "gate:true", "move", '{"amount":1}', NOW))
        records["token_outcomes"].append((f"{row}=", row, "routed", 1, "high", index + 1, None, "{}", NOW))
    row = ids.row_id(run, last - 1)
    message = Checkpoint(micro_batch=number, row_count=last, source_positions={}, sink_positions={}, stage_states={})
    records["checkpoints"].append((ids.checkpoint_id(run, number), 1, number, row, row, message.to_json(), NOW))
    return records


def extras() -> Records:
    """One record for each of the rarer tables, about row 0."""
    row, batch = ids.row_id(RUN, 0), ids.row_id(RUN, 0) + "@stats"
    data = canonical.to_text({"a": 1})
    digest = canonical.sha256({"a": 1})
    return {
        "tokens": [(f"{row}.right", row, "right", NOW)],
        "token_parents": [(f"{row}.right", row, 0)],
        "token_outcomes": [(f"{row}.right=", f"{row}.right", "consumed_in_batch", 1, None, None, batch, None, NOW)],
        "batches": [(batch, "gate", "count", "completed", NOW, NOW)],
        "batch_members": [(batch, f"{row}.right", 0, data)],
        "calls": [(f"{row}:1/0", f"{row}:1", 0, "http", "ok", digest, data, digest, data, 1.5, NOW)],
        "validation_errors": [(f"{row}!", row, "source", "bad", "raw", 2, "high", NOW)],
        "transform_errors": [(f"{row}:1!", row, "gate", '{"reason":"x"}', "high", NOW)],
        "artifacts": [(f"{RUN}!output.high", "gate", "output", "high.csv", 10, "ee", NOW)],
        "supervision_events": [(ids.event_id(RUN, 1, 1), 1, "workers", "started", 4243, "{}", NOW)],
    }


def write_run(path: Path, *, commits: int = 3, key: bytes | None = KEY) -> None:
    """A completed run of ten rows a commit."""
    writer = AuditWriter(path, signing_key=key)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    for number in range(commits):
        writer.commit(RUN, 1, rows(number * 10, number * 10 + 10, number=number + 1))
    writer.heartbeat(RUN, 1, 7, NOW)
    writer.commit(RUN, 1, extras(), {"status": "completed", "completed_at": NOW, "failure": None})
    writer.operator_action(
        run_id=RUN, action="note", user="ada", uid=1000, command_line="elspeth doctor", reason="why", detail={"a": 1}
    )
    writer.close()
