"""How runs stand: a line for each of many, or everything about one, also while it is driven."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import psutil

from actors.identity import Identity
from elspeth.audit.query.counters import Counters, counters, outline
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import CheckpointRecord, EventRecord, NodeRecord, Run
from elspeth.calls.totals import CallTotals
from elspeth.canonical import JsonObject
from elspeth.coordinator.tally import NodeTally
from elspeth.runs.lifecycle.driver import Driver, recorded
from elspeth.runs.liveness.identity import AttemptIdentity
from elspeth.runs.liveness.run_assessment import assessment, resumable
from elspeth.runs.views.history import Happening, history

TROUBLED = ("quarantined", "discarded", "failed")
"""Outcomes of rows that did not go through."""

MAIN = "main"


@dataclass(frozen=True, slots=True)
class Summary:
    """A run in a line. Numbers are those of the latest checkpoint; `state` judges the process of a running one.

    `seconds` is the time in which the run was driven, over all attempts; `calls` what calls came to, by provider.
    """

    run: Run
    state: str | None
    rows: int
    seconds: float
    troubled: Mapping[str, int]
    calls: Mapping[str, CallTotals] = field(default_factory=dict)

    @property
    def rows_per_second(self) -> float | None:
        """Rows over the time in which the run was driven; None where that says nothing."""
        return self.rows / self.seconds if self.rows and self.seconds else None

    def to_value(self) -> JsonObject:
        """The summary as plain data."""
        run, rate = self.run, self.rows_per_second
        return {
            "run_id": run.run_id, "status": run.status, "state": self.state, "started_at": run.started_at,
            "completed_at": run.completed_at, "attempts": run.attempt, "rows": self.rows,
            "duration_seconds": self.seconds, "rows_per_second": None if rate is None else round(rate, 1),
            "failures": dict(self.troubled), "failure": run.failure, "superseded_by": run.superseded_by,
            "resumable": resumable(run), "settings_path": run.settings_path,
        }  # fmt: skip


def summary(reader: AuditReader, run: Run) -> Summary:
    """A run in a line; watches no heartbeat, so a run that is driven elsewhere may be of `unknown` state."""
    return _summary(reader, run, outline(reader, run.run_id))


def _summary(reader: AuditReader, run: Run, found: Counters) -> Summary:
    state = assessment(reader, run, patience=0.0).verdict.state if run.status == "running" else None
    return Summary(run, state, found.rows, found.seconds, troubled(found.outcomes), found.calls)


def troubled(outcomes: Mapping[str, int]) -> dict[str, int]:
    """Of tokens by outcome those that did not go through."""
    return {name: outcomes[name] for name in TROUBLED if outcomes.get(name)}


@dataclass(frozen=True, slots=True)
class ProcessView:
    """A process of the latest attempt. `state` is alive, stopped, gone, or unknown where it cannot be seen from here.

    `resident_bytes` is what it holds in memory now, `restarts` how often it was started again.
    """

    role: str
    pid: int | None
    state: str
    resident_bytes: int | None
    restarts: int


@dataclass(frozen=True, slots=True)
class NodeCount:
    """A node and how many rows or tokens it dealt with, by how that went, and how long that took."""

    node_id: str
    kind: str
    plugin: str
    counts: Mapping[str, int]
    seconds: float = 0.0
    longest_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Balance:
    """Whether everything that was read is accounted for. `open` tokens have no terminal outcome yet."""

    rows: int
    tokens: int
    outcomes: Mapping[str, int]

    @property
    def terminal(self) -> int:
        """Tokens with a terminal outcome."""
        return sum(count for outcome, count in self.outcomes.items() if outcome != "buffered")

    @property
    def open(self) -> int:
        """Tokens without one."""
        return self.tokens - self.terminal


@dataclass(frozen=True, slots=True)
class Status:
    """Everything about one run."""

    summary: Summary
    evidence: str
    next_command: str
    nodes: tuple[NodeCount, ...]
    balance: Balance
    processes: tuple[ProcessView, ...]
    checkpoints: tuple[CheckpointRecord, ...]
    happenings: tuple[Happening, ...]
    drivers: Mapping[int, Driver]
    waiting: str = ""
    edges: Mapping[str, int] = field(default_factory=dict)

    def to_value(self) -> JsonObject:
        """The status as plain data."""
        balance, run = self.balance, self.summary.run
        return self.summary.to_value() | {
            "evidence": self.evidence, "waiting": self.waiting or None, "next_command": self.next_command or None,
            "working_directory": run.working_directory, "elspeth_version": run.elspeth_version,
            "drivers": {str(attempt): driver.to_value() for attempt, driver in self.drivers.items()},
            "nodes": [dataclasses.asdict(node) for node in self.nodes],
            "edges": dict(self.edges),
            "balance": {"rows": balance.rows, "tokens": balance.tokens, "terminal": balance.terminal,
                        "open": balance.open, "outcomes": dict(balance.outcomes)},
            "processes": [dataclasses.asdict(process) for process in self.processes],
            "checkpoints": [_checkpoint(held) for held in self.checkpoints],
            "calls": msgspec.to_builtins(self.summary.calls),
            "history": [dataclasses.asdict(happening) for happening in self.happenings],
        }  # fmt: skip


def status(reader: AuditReader, reference: str, *, checkpoints: int = 5) -> Status:
    """Everything about the run of this id, its beginning or `latest`, as of one moment. Raises `RunNotFound`."""
    with reader.snapshot():
        run = reader.run(reference)
        found = assessment(reader, run, patience=0.0)
        events = reader.events(run.run_id)
        attempts = reader.attempts(run.run_id)
        counted = counters(reader, run.run_id)
        return Status(
            _summary(reader, run, counted),
            found.verdict.sentence if run.status == "running" else "",
            found.next_command if resumable(run) else "",
            tuple(_node(node, counted) for node in reader.nodes(run.run_id)),
            Balance(counted.rows, counted.tokens, dict(sorted(counted.outcomes.items()))),
            tuple(_processes(AttemptIdentity.from_columns(dataclasses.asdict(attempts[-1])), run, events)),
            tuple(reader.checkpoints(run.run_id, checkpoints)),
            tuple(history(attempts, events, reader.operator_actions(run.run_id))),
            recorded(reader, run.run_id),
            found.waiting,
            counted.edges,
        )


def _node(node: NodeRecord, counted: Counters) -> NodeCount:
    tally = counted.nodes.get(node.node_id, NodeTally())
    went_well = tally.visits - tally.failed
    match node.node_type:
        case "source":
            counts = {"read": tally.visits}
        case "sink":
            counts = {"written": went_well}
        case _:
            counts = {"completed": went_well, "failed": tally.failed}
    return NodeCount(
        node.node_id,
        node.node_type,
        node.plugin_name,
        {name: count for name, count in counts.items() if count},
        tally.microseconds / 1e6,
        tally.longest / 1e6,
    )


def _processes(main: AttemptIdentity, run: Run, events: list[EventRecord]) -> list[ProcessView]:
    latest: dict[str, Identity] = {}
    restarts: dict[str, int] = {}
    for event in events:
        if event.attempt == run.attempt and event.child and event.detail and event.event in ("started", "restarted"):
            latest[event.child] = Identity.of_facts(json.loads(event.detail))
            restarts[event.child] = restarts.get(event.child, 0) + (event.event == "restarted")
    people = {MAIN: main.process, **latest}
    return [_process(role, identity, restarts.get(role, 0)) for role, identity in people.items()]


def _process(role: str, identity: Identity, restarts: int) -> ProcessView:
    state = identity.state()
    resident = None
    if state in ("alive", "stopped"):
        try:
            resident = psutil.Process(identity.pid).memory_info().rss
        except psutil.Error:  # it ended between the two looks, or may not be looked at
            state = identity.state()
    return ProcessView(role, identity.pid, state, resident, restarts)


def _checkpoint(held: CheckpointRecord) -> JsonObject:
    return {
        "checkpoint_id": held.checkpoint_id, "attempt": held.attempt, "rows": held.read().row_count,
        "row_id": held.row_id, "created_at": held.created_at,
    }  # fmt: skip
