"""Counts what tokens do while they do it, in one piece of work; sent on as a tally of the graph's numbers."""

from __future__ import annotations

from elspeth.coordinator.tally import NodeTally, Numbers, Tally
from elspeth.graph.model import Graph


class Counts:
    """Visits by node and ways taken by edge, since the last `clear`. Used for every token at every node: cheap."""

    __slots__ = ("edges", "nodes", "tokens")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Nothing has happened yet."""
        self.nodes: dict[str, list[int]] = {}
        self.edges: dict[str, int] = {}
        self.tokens = 0

    def visit(self, node: str, microseconds: int, *, failed: bool) -> None:
        """A token was at a node."""
        found = self.nodes.get(node)
        if found is None:
            self.nodes[node] = [1, int(failed), microseconds, microseconds]
            return
        found[0] += 1
        found[1] += failed
        found[2] += microseconds
        if microseconds > found[3]:
            found[3] = microseconds

    def leave(self, edge: str, count: int = 1) -> None:
        """Tokens took this edge."""
        self.edges[edge] = self.edges.get(edge, 0) + count

    def absorb(self, other: Counts) -> None:
        """Add what another piece of work counted."""
        for node, (visits, failed, microseconds, longest) in other.nodes.items():
            mine = self.nodes.setdefault(node, [0, 0, 0, 0])
            mine[0] += visits
            mine[1] += failed
            mine[2] += microseconds
            mine[3] = max(mine[3], longest)
        for edge, count in other.edges.items():
            self.leave(edge, count)
        self.tokens += other.tokens

    def tally(self, numbers: Numbers) -> Tally:
        """The same by numbers, as it is sent and stored."""
        return Tally(
            {numbers.nodes[node]: NodeTally(*counts) for node, counts in self.nodes.items()},
            {numbers.edges[edge]: count for edge, count in self.edges.items()},
            self.tokens,
        )


def numbers_of(graph: Graph) -> Numbers:
    """The numbers of a graph's nodes and edges."""
    return Numbers.of((node.id for node in graph.nodes), (edge.edge_id for edge in graph.edges))
