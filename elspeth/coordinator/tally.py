"""What went through nodes and edges, counted where it happens, and added up from checkpoint to checkpoint.

Nodes and edges are numbered in the order of their ids: the numbers are those of the run's graph, whichever Elspeth
compiled it, and a checkpoint grows by some forty bytes a node and ten an edge, however long their names are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import msgspec


class NodeTally(msgspec.Struct, frozen=True, array_like=True):
    """What a node did: `visits` of tokens, `failed` of them, `microseconds` in all and of the `longest` visit.

    A token that is tried again visits again. A source's visits are its rows, a sink's the rows that it was given; these
    two have no time of their own.
    """

    visits: int = 0
    failed: int = 0
    microseconds: int = 0
    longest: int = 0

    def __add__(self, other: NodeTally) -> NodeTally:
        return NodeTally(
            self.visits + other.visits,
            self.failed + other.failed,
            self.microseconds + other.microseconds,
            max(self.longest, other.longest),
        )


class Tally(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nodes and edges by their numbers, those without anything left out, and how many tokens came into being."""

    nodes: dict[int, NodeTally] = {}
    edges: dict[int, int] = {}
    tokens: int = 0

    def __add__(self, other: Tally) -> Tally:
        nodes, edges = dict(self.nodes), dict(self.edges)
        for number, node in other.nodes.items():
            nodes[number] = nodes[number] + node if number in nodes else node
        for number, count in other.edges.items():
            edges[number] = edges.get(number, 0) + count
        return Tally(nodes, edges, self.tokens + other.tokens)


NOTHING = Tally()


@dataclass(frozen=True, slots=True)
class Numbers:
    """The number of each node and edge of a graph, by its id."""

    nodes: Mapping[str, int]
    edges: Mapping[str, int]

    @classmethod
    def of(cls, nodes: Iterable[str], edges: Iterable[str]) -> Numbers:
        """The numbers of the nodes and edges with these ids."""
        return cls(_numbered(nodes), _numbered(edges))


def _numbered(ids: Iterable[str]) -> dict[str, int]:
    return {each: number for number, each in enumerate(sorted(ids))}
