"""Everything that a report tells of a run, as one JSON value that is small however many rows there were."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from elspeth.audit.explain.payload_reader import NO_LONGER_KEPT
from elspeth.audit.purge import PURGE, REMOVE, last_action
from elspeth.audit.query.counters import Counters, counters
from elspeth.audit.query.error_kinds import by_reason, cut, errors, slowest
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Artifact, EdgeRecord, NodeRecord, Run
from elspeth.canonical import JsonObject
from elspeth.clock import utc_now
from elspeth.coordinator.tally import NodeTally
from elspeth.outputs import sink_states
from elspeth.runs.lifecycle.driver import changes as driven_by
from elspeth.runs.lifecycle.driver import recorded
from elspeth.runs.liveness.run_assessment import assessment, resumable
from elspeth.runs.views.history import history
from elspeth.runs.views.report import changes
from elspeth.runs.views.report.calls import calls
from elspeth.runs.views.report.flow import layout
from elspeth.runs.views.status import Balance, troubled

VERSION = 1
POINTS = 200
"""Points of a curve."""

HAPPENINGS = 100
MOST_SETTINGS = 60_000
"""Characters of settings that are shown whole."""


def report(
    reader: AuditReader,
    reference: str,
    *,
    data: bool = True,
    against: str | None = None,
    verified: JsonObject | None = None,
) -> JsonObject:
    """The value for the run of this id, its beginning or `latest`. Raises `RunNotFound`.

    Without `data` nothing is told that people wrote into rows. `against` is another run, whose differences are told;
    `verified` what came of verifying the evidence, if somebody did.
    """
    with reader.snapshot():
        run = reader.run(reference)
        counted = counters(reader, run.run_id)
        found = errors(reader, run.run_id, data=data)
        other = _other(reader, run, against)
        return {
            "version": VERSION,
            "made_at": utc_now(),
            "data": data,
            "run": _run(run),
            "verdict": _verdict(reader, run, counted, verified),
            "flow": _flow(reader.nodes(run.run_id), reader.edges(run.run_id), counted),
            "balance": _balance(reader, run, counted),
            "time": _time(reader, run, counted),
            "slowest": slowest(reader, run.run_id) if run.status != "running" else [],
            "errors": found,
            "calls": calls(reader, run.run_id, counted.calls),
            "settings": _settings(reader, run, other),
            "against": _against(reader, run, other, counted) if against and other is not None else None,
        }


def _run(run: Run) -> JsonObject:
    return {
        "run_id": run.run_id, "status": run.status, "started_at": run.started_at, "completed_at": run.completed_at,
        "attempts": run.attempt, "settings_path": run.settings_path, "directory": run.working_directory,
        "elspeth": run.elspeth_version, "failure": run.failure, "superseded_by": run.superseded_by,
    }  # fmt: skip


def _verdict(reader: AuditReader, run: Run, counted: Counters, verified: JsonObject | None) -> JsonObject:
    found = assessment(reader, run, patience=0.0)
    state = found.verdict.state if run.status == "running" else None
    head = reader.commits(run.run_id, 1)
    return {
        "status": run.status,
        "state": state,
        "because": found.verdict.sentence if state else run.failure or "",
        "waiting": found.waiting,
        "rows": counted.rows,
        "troubled": troubled(counted.outcomes),
        "resumable": resumable(run),
        "next_command": found.next_command if resumable(run) else f"elspeth verify {run.run_id}",
        "purged": last_action(reader.connection, run.run_id, PURGE) > 0,
        "removed": last_action(reader.connection, run.run_id, REMOVE) > 0,
        "verified": verified,
        "head": head[0].digest if head else None,
        "commits": head[0].commit_no + 1 if head else 0,
    }


def _flow(nodes: list[NodeRecord], edges: list[EdgeRecord], counted: Counters) -> JsonObject:
    where, ways = layout([node.node_id for node in nodes], [(edge.from_node_id, edge.to_node_id) for edge in edges])
    told = []
    for node in nodes:
        tally = counted.nodes.get(node.node_id, NodeTally())
        column, row = where[node.node_id]
        told.append(
            {"id": node.node_id, "kind": node.node_type, "plugin": node.plugin_name, "column": column, "row": row,
             "visits": tally.visits, "failed": tally.failed, "seconds": tally.microseconds / 1e6,
             "longest": tally.longest / 1e6}
        )  # fmt: skip
    return {
        "nodes": told,
        "edges": [
            {"id": edge.edge_id, "from": edge.from_node_id, "to": edge.to_node_id, "label": edge.label,
             "error": edge.mode == "divert", "count": counted.edges.get(edge.edge_id, 0), "by": way}
            for edge, way in zip(edges, ways, strict=True)
        ],
    }  # fmt: skip


def _balance(reader: AuditReader, run: Run, counted: Counters) -> JsonObject:
    held = reader.checkpoint(run.run_id)
    outputs = sink_states(held.read().sink_positions) if held is not None else {}
    files = {artifact.node_id: artifact for artifact in reader.artifacts(run.run_id) if artifact.kind == "output"}
    balance = Balance(counted.rows, counted.tokens, counted.outcomes)
    return {
        "rows": balance.rows,
        "tokens": balance.tokens,
        "open": balance.open,
        "outcomes": dict(balance.outcomes),
        "sinks": [
            {"sink": name, "rows": counted.written.get(name, 0), "path": state.output.path, "bytes": state.output.size,
             "sha256": files[name].content_hash if name in files else state.output.sha256, "final": name in files}
            for name, state in outputs.items()
        ],
    }  # fmt: skip


def _time(reader: AuditReader, run: Run, counted: Counters) -> JsonObject:
    attempts, events = reader.attempts(run.run_id), reader.events(run.run_id)
    told = history(attempts, events, reader.operator_actions(run.run_id))
    return {
        "seconds": counted.seconds,
        "rows_per_second": counted.rows / counted.seconds if counted.seconds and counted.rows else None,
        "curve": _curve(reader, run.run_id),
        "restarts": sum(event.event == "restarted" for event in events),
        "suspects": sum(event.event == "suspect" for event in events),
        "attempts": [
            {"attempt": each.attempt, "started_at": each.started_at, "ended_at": each.ended_at,
             "why": each.end_reason, "host": each.host, "user": each.user}
            for each in attempts[-HAPPENINGS:]
        ],
        "happenings": [{"at": each.at, "sentence": cut(each.sentence)} for each in told[-HAPPENINGS:]],
        "earlier": max(len(told) - HAPPENINGS, 0),
    }  # fmt: skip


def _curve(reader: AuditReader, run_id: str) -> list[JsonObject]:
    """When how many rows were committed. The last row of a checkpoint names itself, so that none is decoded."""
    found = reader.connection.execute(
        "SELECT created_at, CAST(substr(row_id, 10, 9) AS INTEGER) + 1 FROM checkpoints"
        " WHERE checkpoint_id >= ? AND checkpoint_id < ? AND row_id IS NOT NULL ORDER BY checkpoint_id",
        (run_id, f"{run_id}~"),
    ).fetchall()
    step = max(-(-len(found) // POINTS), 1)
    kept = found[::step]
    return [{"at": at, "rows": rows} for at, rows in ([*kept, found[-1]] if found and kept[-1] != found[-1] else kept)]


def _other(reader: AuditReader, run: Run, against: str | None) -> Run | None:
    """The run to compare with: the one that was asked for, else the one before of the same pipeline file."""
    if against is not None:
        return reader.run(against)
    return next(
        (each for each in reader.runs() if each.started_at < run.started_at and each.run_id != run.run_id
         and each.settings_path == run.settings_path),
        None,
    )  # fmt: skip


def _settings(reader: AuditReader, run: Run, other: Run | None) -> JsonObject:
    settings = _parsed(run.settings_json)
    return {
        "settings": settings if len(run.settings_json) <= MOST_SETTINGS else cut(run.settings_json),
        "since": other.run_id if other is not None else None,
        "changed": changes.differences(_parsed(other.settings_json), settings) if other is not None else [],
        "drivers": {str(number): words for number, words in
                    driven_by(recorded(reader, run.run_id), run.attempt).items()},
        "files": [_file(artifact) for artifact in reader.artifacts(run.run_id)],
        "actions": [
            {"at": each.created_at, "user": each.user, "action": each.action, "reason": each.reason,
             "command": each.command_line}
            for each in reader.operator_actions(run.run_id)[-HAPPENINGS:]
        ],
    }  # fmt: skip


def _against(reader: AuditReader, run: Run, other: Run, counted: Counters) -> JsonObject:
    before = counters(reader, other.run_id)
    return {
        "run_id": other.run_id,
        "status": other.status,
        "rows": before.rows,
        "seconds": before.seconds,
        "outcomes": changes.counts(before.outcomes, counted.outcomes),
        "written": changes.counts(before.written, counted.written),
        "edges": changes.counts(before.edges, counted.edges),
        "reasons": changes.counts(by_reason(reader, other.run_id), by_reason(reader, run.run_id)),
    }


def _file(artifact: Artifact) -> JsonObject:
    return {"kind": artifact.kind, "node": artifact.node_id, "path": artifact.path, "bytes": artifact.size_bytes,
            "sha256": artifact.content_hash}  # fmt: skip


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return {"settings": NO_LONGER_KEPT}


def as_text(value: JsonObject) -> str:
    """The value as JSON text."""
    return msgspec.json.encode(value).decode()
