"""What is measured of a run: names, meanings and values, out of the counters that are in its checkpoint. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, NamedTuple

from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.reporting.observer import ProviderState
from elspeth.coordinator.tally import NOTHING, Numbers

PREFIX = "elspeth_"
Number = int | float | Decimal
Kind = Literal["counter", "gauge"]


class Sample(NamedTuple):
    """A value with its labels, beside those that all have."""

    value: Number
    labels: Mapping[str, str] = {}


class Family(NamedTuple):
    """A metric: its name, what it means, of which kind it is, and its samples."""

    name: str
    meaning: str
    kind: Kind
    samples: Sequence[Sample]


@dataclass(frozen=True, slots=True)
class Labels:
    """What a run is called where many are watched."""

    pipeline: str
    run_id: str
    attempt: int
    version: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What is known of a run at one time. Times are seconds since 1970, `commit_seconds` those of this attempt."""

    labels: Labels
    numbers: Numbers
    checkpoint: Checkpoint
    started_at: float
    committed_at: float
    rows_read: int = 0
    rows_decided: int = 0
    commits: int = 0
    commit_seconds: float = 0.0
    restarts: int = 0
    active: bool = True
    currency: str = ""
    providers: Mapping[str, ProviderState] = field(default_factory=dict)


def families(reading: Reading) -> Iterator[Family]:
    """All metrics. Counters count over the whole run, earlier attempts included, but for commits and restarts."""
    held, labels = reading.checkpoint, reading.labels
    tally = held.tally or NOTHING
    nodes = [(name, tally.nodes[number]) for name, number in reading.numbers.nodes.items() if number in tally.nodes]
    edges = [(name, tally.edges[number]) for name, number in reading.numbers.edges.items() if number in tally.edges]
    calls = held.call_totals or {}
    info = {"run_id": labels.run_id, "attempt": str(labels.attempt), "version": labels.version}
    yield Family("run_info", "The run that is driven, and by which Elspeth.", "gauge", [Sample(1, info)])
    yield _one("run_active", "1 while the run is driven, 0 when that has ended.", "gauge", int(reading.active))
    yield _one("run_start_timestamp_seconds", "When this attempt began to drive the run.", "gauge", reading.started_at)
    yield _one("last_commit_timestamp_seconds", "When rows were committed last.", "gauge", reading.committed_at)
    yield _one("rows_read_total", "Rows that sources have given.", "counter", reading.rows_read)
    yield _one("rows_decided_total", "Rows of which all is decided.", "counter", reading.rows_decided)
    yield _one("rows_durable_total", "Rows that are committed.", "counter", held.row_count)
    yield _family("outcomes_total", "Tokens that are committed, by outcome.", "counter", "outcome",
                  held.outcome_counts.items())  # fmt: skip
    yield _family(
        "sink_rows_total", "Rows that are committed, by sink.", "counter", "sink", held.written_counts.items()
    )
    yield _family("node_visits_total", "Visits of tokens to a node.", "counter", "node",
                  ((name, node.visits) for name, node in nodes))  # fmt: skip
    yield _family("node_failures_total", "Visits of tokens that failed.", "counter", "node",
                  ((name, node.failed) for name, node in nodes))  # fmt: skip
    yield _family("node_seconds_total", "Time that visits to a node took, over all processes.", "counter", "node",
                  ((name, node.microseconds / 1e6) for name, node in nodes))  # fmt: skip
    yield _family("edge_tokens_total", "Tokens that took an edge.", "counter", "edge", edges)
    yield _one("commits_total", "Commits of this attempt.", "counter", reading.commits)
    yield _one("commit_seconds_total", "Time that commits of this attempt took.", "counter", reading.commit_seconds)
    yield _one("child_restarts_total", "Children of this attempt that were started again.", "counter", reading.restarts)
    yield _family("calls_total", "Exchanges with a provider.", "counter", "provider",
                  ((name, one.exchanges) for name, one in calls.items()))  # fmt: skip
    yield _family("calls_unknown_total", "Exchanges of which nobody knows the end.", "counter", "provider",
                  ((name, one.unknown) for name, one in calls.items()))  # fmt: skip
    yield Family("call_tokens_total", "Tokens that a provider counted.", "counter", [
        Sample(count, {"provider": name, "direction": direction})
        for name, one in calls.items()
        for direction, count in (("input", one.input_tokens), ("output", one.output_tokens))
    ])  # fmt: skip
    yield Family("call_cost_total", "What calls cost, in the currency of the budget.", "counter", [
        Sample(one.cost, {"provider": name, "currency": reading.currency}) for name, one in calls.items()
    ])  # fmt: skip
    yield from _limits(reading.providers)


def _limits(providers: Mapping[str, ProviderState]) -> Iterator[Family]:
    yield _family("calls_waiting", "Calls that wait for leave to be sent.", "gauge", "provider",
                  ((name, one.waiting) for name, one in providers.items()))  # fmt: skip
    yield _family("calls_out", "Calls that were sent and have no answer yet.", "gauge", "provider",
                  ((name, one.out) for name, one in providers.items()))  # fmt: skip
    yield _family("breaker_open", "1 while nothing but a probe is sent to the provider.", "gauge", "provider",
                  ((name, int(one.open)) for name, one in providers.items()))  # fmt: skip


def _one(name: str, meaning: str, kind: Kind, value: Number) -> Family:
    return Family(name, meaning, kind, [Sample(value)])


def _family(name: str, meaning: str, kind: Kind, label: str, values: Iterable[tuple[str, Number]]) -> Family:
    return Family(name, meaning, kind, [Sample(value, {label: key}) for key, value in values])


def text(reading: Reading) -> str:
    """All of it in Prometheus' text format 0.0.4."""
    lines = []
    for family in families(reading):
        if not family.samples:
            continue
        name = PREFIX + family.name
        lines += [f"# HELP {name} {family.meaning}", f"# TYPE {name} {family.kind}"]
        for value, labels in family.samples:
            parts = ",".join(f'{key}="{_escaped(word)}"' for key, word in
                             {"pipeline": reading.labels.pipeline, **labels}.items())  # fmt: skip
            lines.append(f"{name}{{{parts}}} {value}")
    return "\n".join(lines) + "\n"


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
