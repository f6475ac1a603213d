"""What a run came to so far: the counters that everybody reads, who watches a run and who looks back at it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.tallies import on_record
from elspeth.calls.totals import CallTotals
from elspeth.coordinator.tally import NodeTally, Numbers


@dataclass(frozen=True, slots=True)
class Counters:
    """Counts of what is committed. `seconds` is the time in which the run was driven, over all attempts.

    `outcomes` are tokens by outcome, `written` rows by sink, `nodes` and `edges` what went through each, `calls` what
    calls came to, by provider.
    """

    rows: int = 0
    tokens: int = 0
    seconds: float = 0.0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    written: Mapping[str, int] = field(default_factory=dict)
    nodes: Mapping[str, NodeTally] = field(default_factory=dict)
    edges: Mapping[str, int] = field(default_factory=dict)
    calls: Mapping[str, CallTotals] = field(default_factory=dict)


def outline(reader: AuditReader, run_id: str) -> Counters:
    """The same without nodes, edges and tokens: what every checkpoint says, of whichever version."""
    held = reader.checkpoint(run_id)
    if held is None:
        return Counters(reader.row_count(run_id), outcomes=reader.outcome_counts(run_id))
    found = held.read()
    return Counters(
        found.row_count,
        seconds=found.active_seconds,
        outcomes=found.outcome_counts,
        written=found.written_counts,
        calls=found.call_totals or {},
    )


def counters(reader: AuditReader, run_id: str) -> Counters:
    """The counters of the latest checkpoint, which takes no longer for many rows.

    Where there is none (checkpoints are switched off, the run was removed) they are counted on record.
    """
    with reader.snapshot():
        numbers = Numbers.of(
            (node.node_id for node in reader.nodes(run_id)), (edge.edge_id for edge in reader.edges(run_id))
        )
        checkpoint = reader.latest(run_id)
        tally = checkpoint.tally if checkpoint is not None else None
        if not tally:
            tally = on_record(reader.connection, run_id)
        nodes = {node: tally.nodes[number] for node, number in numbers.nodes.items() if number in tally.nodes}
        edges = {edge: tally.edges[number] for edge, number in numbers.edges.items() if number in tally.edges}
        if checkpoint is not None:
            return Counters(
                checkpoint.row_count,
                tally.tokens,
                checkpoint.active_seconds,
                checkpoint.outcome_counts,
                checkpoint.written_counts,
                nodes,
                edges,
                checkpoint.call_totals or {},
            )
        outcomes, written = reader.outcome_counts(run_id), reader.sink_counts(run_id)
        return Counters(reader.row_count(run_id), tally.tokens, 0.0, outcomes, written, nodes, edges)
