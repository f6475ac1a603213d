"""What went through nodes and edges, counted on record: for a checkpoint that leaves it out, or is older than tallies.

The way by which most rows leave a step is not on record token by token: it is what passed the step, less what the step
put aside. Ids begin with their row, so that what is on record behind a row lies together.
"""

from __future__ import annotations

from typing import Any

from msgspec import structs

from elspeth import ids
from elspeth.audit.connection import Connection
from elspeth.coordinator.checkpoint import COUNTED, Checkpoint, read_checkpoint
from elspeth.coordinator.tally import NodeTally, Numbers, Tally

CONTINUE, ERROR = "continue", "error"
"""Labels of edges, as they are recorded (`elspeth.graph.labels`)."""


def with_tally(connection: Connection, message: str, checkpoint_id: str) -> Checkpoint:
    """The checkpoint that is stored so, with its tally. Nobody must write to the run meanwhile."""
    checkpoint = read_checkpoint(message, checkpoint_id)
    if checkpoint.tally:
        return checkpoint
    run_id = checkpoint_id.partition("#")[0]
    before = connection.execute(
        "SELECT checkpoint_id, message FROM checkpoints WHERE checkpoint_id >= ? AND checkpoint_id < ?"
        " ORDER BY checkpoint_id DESC",
        (run_id, checkpoint_id),
    )
    if checkpoint.version == COUNTED:
        for earlier_id, earlier in before:
            found = read_checkpoint(earlier, earlier_id)
            if found.tally:
                return structs.replace(checkpoint, tally=found.tally + on_record(connection, run_id, found.row_count))
            if found.version != COUNTED:
                break
    return structs.replace(checkpoint, tally=on_record(connection, run_id))


def on_record(connection: Connection, run_id: str, first_row: int = 0) -> Tally:
    """What is on record of the rows from this index on. Takes as long as there are such rows."""
    return _Count(connection, run_id, first_row).tally()


class _Count:
    def __init__(self, connection: Connection, run_id: str, first_row: int) -> None:
        self._connection = connection
        self._run_id = run_id
        self._range = ids.row_id(run_id, first_row), f"{run_id}~"
        self._kinds = dict(connection.execute("SELECT node_id, node_type FROM nodes WHERE run_id = ?", (run_id,)))
        self._edges: list[tuple[str, str, str, str]] = connection.execute(
            "SELECT edge_id, from_node_id, label, mode FROM edges WHERE run_id = ?", (run_id,)
        ).fetchall()

    def tally(self) -> Tally:
        numbers = Numbers.of(self._kinds, (edge[0] for edge in self._edges))
        nodes, left = self._visits()
        edges = dict(self._all("SELECT edge_id, count(*) FROM routing_events WHERE event_id {range} GROUP BY 1"))
        refused = self._refused(nodes, left)
        for edge, node, label, mode in self._edges:
            if label == ERROR and node in refused:
                edges[edge] = refused[node]
            elif self._kinds[node] != "gate" and (label == CONTINUE or mode == "copy"):
                aside = sum(edges.get(other, 0) for other, at, name, how in self._edges
                            if at == node and name not in (CONTINUE, ERROR) and how == "move")  # fmt: skip
                edges[edge] = left.get(node, 0) - aside
        ((tokens,),) = self._all("SELECT count(*) FROM tokens WHERE token_id {range}")
        return Tally(
            {numbers.nodes[node]: found for node, found in nodes.items() if found.visits},
            {numbers.edges[edge]: count for edge, count in edges.items() if count},
            tokens,
        )

    def _visits(self) -> tuple[dict[str, NodeTally], dict[str, int]]:
        """The tally of each step, and how many tokens passed it."""
        nodes, left = {}, {}
        for node, visits, failed, microseconds, longest, passed in self._all(
            "SELECT node_id, count(*), count(CASE WHEN status = 'failed' THEN 1 END),"
            " CAST(sum(round(duration_ms * 1000)) AS BIGINT), CAST(max(round(duration_ms * 1000)) AS BIGINT),"
            " count(CASE WHEN status = 'completed' AND output_hash IS NOT NULL THEN 1 END)"
            " FROM node_states WHERE state_id {range} GROUP BY 1"
        ):
            nodes[node] = NodeTally(visits, failed, microseconds or 0, longest or 0)
            left[node] = passed
        return nodes, left

    def _refused(self, nodes: dict[str, NodeTally], left: dict[str, int]) -> dict[str, int]:
        """Add what sources and sinks did; answers how many rows they sent where their errors go."""
        errors = {
            node: (count, sent)
            for table in ("validation_errors", "transform_errors")
            for node, count, sent in self._all(
                f"SELECT node_id, count(*), count(destination) FROM {table} WHERE error_id {{range}} GROUP BY 1"
            )
            if self._kinds.get(node) in ("source", "sink")
        }
        rows = self._all("SELECT source_node_id, count(*) FROM rows WHERE row_id {range} GROUP BY 1")
        for source, count in rows:
            failed = errors.get(source, (0, 0))[0]
            nodes[source] = NodeTally(count, failed)
            left[source] = count - failed
        written = dict(
            self._all(
                "SELECT sink_name, count(*) FROM token_outcomes WHERE outcome_id {range} AND sink_row IS NOT NULL"
                " GROUP BY 1"
            )
        )
        for sink in (node for node, kind in self._kinds.items() if kind == "sink"):
            failed = errors.get(sink, (0, 0))[0]
            nodes[sink] = NodeTally(written.get(sink, 0) + failed, failed)
        return {node: sent for node, (_, sent) in errors.items()}

    def _all(self, query: str) -> list[tuple[Any, ...]]:
        key = query.partition("WHERE ")[2].partition(" ")[0]
        return self._connection.execute(query.format(range=f">= ? AND {key} < ?"), self._range).fetchall()
