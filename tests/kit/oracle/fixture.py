"""A small finished run, its database and outputs written down by hand, for the checker to approve and for damage."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from pathlib import Path
from typing import Any

from tests.kit.oracle import chain, ledger
from tests.kit.oracle.canonical import sha256

RUN = "mf3k2a9x"
AT = "2026-01-02T03:04:05.000Z"

SETTINGS = """\
source:
  plugin: csv
  options:
    path: input.csv
    schema: {mode: free, fields: ["id: int", "amount: int"]}
    on_validation_failure: refused
transforms:
  - plugin: value_transform
    options: {operations: [{target: twice, expression: "row['amount'] * 2"}]}
  - plugin: keyword_filter
    options: {fields: [note], blocked_patterns: [secret]}
    on_error: refused
gates:
  - name: threshold
    condition: "row['amount'] > 1000"
    routes: {"true": high, "false": continue}
sinks:
  low: {plugin: csv, options: {path: low.csv}}
  high: {plugin: json, options: {path: high.json}}
  refused: {plugin: json, options: {path: refused.jsonl, format: jsonl}}
default_sink: low
"""

INPUT = 'id,amount,note\n1,10,a\n2,2000,b\n3,many,c\n4,40,a secret\n5,50,"d, e"\n6,6000,f\n'
LOW = 'id,amount,note,twice\r\n1,10,a,20\r\n5,50,"d, e",100\r\n'
HIGH = '[\n{"id":2,"amount":2000,"note":"b","twice":4000},\n{"id":6,"amount":6000,"note":"f","twice":12000}\n]\n'
REFUSED = (
    '{"id":"3","amount":"many","note":"c","_line":4,"_error":"amount is no int","_raw":"3,many,c"}\n'
    '{"id":4,"amount":40,"note":"a secret","twice":80}\n'
)

TABLES = {
    "runs": "run_id, status, started_at, completed_at, attempt, settings_json, settings_hash, working_directory",
    "nodes": "run_id, commit_no, node_id, plugin_name, node_type",
    "edges": "run_id, commit_no, edge_id, from_node_id, to_node_id, label, mode",
    "rows": "run_id, commit_no, row_id, row_index, source_node_id, source_data_hash, source_data, line, created_at",
    "tokens": "run_id, commit_no, token_id, row_id, branch_name, created_at",
    "token_parents": "run_id, commit_no, token_id, parent_token_id, ordinal",
    "node_states": "run_id, commit_no, state_id, token_id, node_id, step_index, attempt, status, input_hash, "
    "output_hash, output_data, error_json",
    "routing_events": "run_id, commit_no, event_id, state_id, edge_id, mode, reason_json",
    "token_outcomes": "run_id, commit_no, outcome_id, token_id, outcome, is_terminal, sink_name, sink_row, batch_id, "
    "error_json",
    "validation_errors": "run_id, commit_no, error_id, row_id, node_id, error, raw_data, line, destination",
    "transform_errors": "run_id, commit_no, error_id, token_id, node_id, error_json, destination",
    "batches": "run_id, commit_no, batch_id, node_id, trigger_type, status",
    "batch_members": "run_id, commit_no, batch_id, token_id, ordinal, member_data",
    "calls": "run_id, commit_no, call_id, state_id, request_data, response_data",
    "artifacts": "run_id, commit_no, artifact_id, node_id, kind, path, size_bytes, content_hash",
    "checkpoints": "run_id, commit_no, checkpoint_id, attempt, sequence_number, row_id, token_id, message",
    "commits": "run_id, commit_no, attempt, previous_digest, digest, record_count, committed_at",
    "commit_tables": "run_id, commit_no, table_name, record_count, digest, purgeable_digest",
}
VALUE, FILTER, GATE = "value_transform_1", "keyword_filter_1", "threshold"


class Fixture:
    """The files and the database of one run in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = folder / "pipeline.yaml"
        self.database = folder / "audit.db"
        for name, text in (
            ("pipeline.yaml", SETTINGS), ("input.csv", INPUT), ("low.csv", LOW), ("high.json", HIGH),
            ("refused.jsonl", REFUSED),
        ):  # fmt: skip
            (folder / name).write_text(text, encoding="utf-8")
        self.db = sqlite3.connect(self.database, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = MEMORY")
        self.db.execute("PRAGMA synchronous = OFF")
        for table, columns in TABLES.items():
            self.db.execute(f"CREATE TABLE {table} ({columns})")
        self._write()

    def add(self, table: str, **values: Any) -> None:
        """Insert a record of the run."""
        names = ", ".join(["run_id", *values])
        marks = ", ".join("?" * (len(values) + 1))
        self.db.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})", (RUN, *values.values()))

    def _write(self) -> None:
        self.add(
            "runs", status="completed", started_at=AT, completed_at=AT, attempt=1, settings_json="{}",
            working_directory=str(self.folder),
        )  # fmt: skip
        kinds = {"source": "source", VALUE: "transform", FILTER: "transform", GATE: "gate"}
        for node in ("source", VALUE, FILTER, GATE, "low", "high", "refused"):
            self.add("nodes", commit_no=0, node_id=node, node_type=kinds.get(node, "sink"))
        for start, end, label in (
            ("source", VALUE, "continue"), (VALUE, FILTER, "continue"), (FILTER, GATE, "continue"),
            (GATE, "high", "true"), (GATE, "low", "false"), (FILTER, "refused", "error"),
            ("source", "refused", "error"),
        ):  # fmt: skip
            self.add("edges", commit_no=0, edge_id=f"{start}:{label}", from_node_id=start, to_node_id=end, label=label)
        self._rows()
        self._checkpoint(0, None, {"low": (0, 0), "high": (0, 0), "refused": (0, 0)})
        middle = len(REFUSED.split("\n")[0]) + 1
        self._checkpoint(1, 2, {"low": (1, LOW.index("5,")), "high": (1, HIGH.index(",\n")), "refused": (1, middle)})
        self._checkpoint(2, 5, {"low": (2, len(LOW)), "high": (2, len(HIGH)), "refused": (2, len(REFUSED))})
        for node, name, kind in (("source", "input.csv", "input"), ("low", "low.csv", "output")):
            content = (self.folder / name).read_bytes()
            self.add(
                "artifacts", commit_no=2, artifact_id=node, node_id=node, kind=kind, path=name,
                size_bytes=len(content), content_hash=hashlib.sha256(content).hexdigest(),
            )  # fmt: skip
        self.close_the_books()

    def close_the_books(self) -> None:
        """Write the commits that fit what the tables hold."""
        previous = "0" * 64
        self.db.row_factory = sqlite3.Row
        tables = ledger.audited_tables(self.db)
        found = {table: chain.table_digests(self.db, RUN, table) for table in tables}
        for number in range(3):
            commit = {"commit_no": number, "attempt": 1, "previous_digest": previous, "committed_at": AT}
            parts = []
            for table in tables:
                if number in found[table]:
                    count, digest, apart = found[table][number]
                    parts.append([table, count, digest, apart])
                    self.add(
                        "commit_tables", commit_no=number, table_name=table, record_count=count, digest=digest,
                        purgeable_digest=apart,
                    )  # fmt: skip
            previous = chain.header(RUN, commit, parts)
            self.add("commits", **commit, digest=previous, record_count=sum(part[1] for part in parts))

    def _checkpoint(self, number: int, row: int | None, outputs: dict[str, tuple[int, int]]) -> None:
        files = {"low": "low.csv", "high": "high.json", "refused": "refused.jsonl"}
        positions = {}
        for sink, (rows, size) in outputs.items():
            digest = hashlib.sha256((self.folder / files[sink]).read_bytes()[:size]).hexdigest()
            output = {"path": files[sink], "size": size, "sha256": digest, "rows": rows}
            positions[sink] = {"position": {}, "output": output}
        row_id = None if row is None else f"{RUN}-{row:09d}"
        self.add(
            "checkpoints", commit_no=number, checkpoint_id=f"{RUN}:{number}", attempt=1, sequence_number=number,
            row_id=row_id, token_id=row_id, message=json.dumps({"version": 1, "sinks": positions}),
        )  # fmt: skip

    def _rows(self) -> None:
        read: list[dict[str, Any]] = [
            {"id": 1, "amount": 10, "note": "a"}, {"id": 2, "amount": 2000, "note": "b"},
            {"id": "3", "amount": "many", "note": "c"}, {"id": 4, "amount": 40, "note": "a secret"},
            {"id": 5, "amount": 50, "note": "d, e"}, {"id": 6, "amount": 6000, "note": "f"},
        ]  # fmt: skip
        ends = [
            ("completed", "low", 1), ("routed", "high", 1), ("quarantined", "refused", 1),
            ("quarantined", "refused", 2), ("completed", "low", 2), ("routed", "high", 2),
        ]  # fmt: skip
        for index, (row, (outcome, sink, sink_row)) in enumerate(zip(read, ends, strict=True)):
            token, commit = f"{RUN}-{index:09d}", 1 if index < 3 else 2
            self.add(
                "rows", commit_no=commit, row_id=token, row_index=index, source_node_id="source",
                source_data_hash=sha256(row), source_data=json.dumps(row), line=index + 2, created_at=AT,
            )  # fmt: skip
            self.add("tokens", commit_no=commit, token_id=token, row_id=token, created_at=AT)
            self.add(
                "token_outcomes", commit_no=commit, outcome_id=f"{token}=", token_id=token, outcome=outcome,
                is_terminal=1, sink_name=sink, sink_row=sink_row,
            )  # fmt: skip
            if index == 2:
                self.add(
                    "validation_errors", commit_no=commit, error_id=token, row_id=token, node_id="source",
                    error="amount is no int", raw_data="3,many,c", line=4, destination="refused",
                )  # fmt: skip
                continue
            self._steps(token, commit, row, sink)

    def _steps(self, token: str, commit: int, row: dict[str, Any], sink: str) -> None:
        doubled = {**row, "twice": row["amount"] * 2}
        refused = sink == "refused"
        self._state(token, commit, 0, VALUE, row, doubled)
        self._state(token, commit, 1, FILTER, doubled, None if refused else doubled)
        if refused:
            self.add(
                "transform_errors", commit_no=commit, error_id=f"{token}:1", token_id=token, node_id=FILTER,
                error_json="{}", destination="refused",
            )  # fmt: skip
            self.add(
                "routing_events", commit_no=commit, event_id=f"{token}:1", state_id=f"{token}:1",
                edge_id=f"{FILTER}:error", mode="divert",
            )  # fmt: skip
            return
        self._state(token, commit, 2, GATE, doubled, doubled)
        label = "true" if sink == "high" else "false"
        self.add(
            "routing_events", commit_no=commit, event_id=f"{token}:2", state_id=f"{token}:2", edge_id=f"{GATE}:{label}"
        )

    def _state(self, token: str, commit: int, step: int, node: str, row: Any, result: Any) -> None:
        self.add(
            "node_states", commit_no=commit, state_id=f"{token}:{step}", token_id=token, node_id=node, step_index=step,
            attempt=1, status="failed" if result is None else "completed", input_hash=sha256(row),
            output_hash=None if result is None else sha256(result),
            output_data=json.dumps(result) if result not in (None, row) else None,
        )  # fmt: skip
