"""Where the nodes of a flow stand in its picture: in columns by rank, in each near those they come from. Pure.

Ranks are longest paths from a source, as in layered drawings of graphs (Sugiyama, Tagawa and Toda, 1981); one pass by
the mean place of the predecessors is enough for pipelines. An edge that passes a column has a place
there, as a node has.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise


def ranks(nodes: Sequence[str], edges: Iterable[tuple[str, str]]) -> dict[str, int]:
    """The rank of each node: the longest path to it. A circle, which no pipeline has, ends the search."""
    before: dict[str, list[str]] = {node: [] for node in nodes}
    for start, end in edges:
        if start in before and end in before:
            before[end].append(start)
    found = dict.fromkeys(nodes, 0)
    for _ in nodes:
        changed = False
        for node in nodes:
            rank = max((found[other] + 1 for other in before[node]), default=0)
            if rank > found[node] and rank < len(nodes):
                found[node], changed = rank, True
        if not changed:
            break
    return found


def places(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, tuple[int, int]]:
    """The column and the row of each node."""
    return layout(nodes, edges)[0]


Place = tuple[int, int]


def layout(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> tuple[dict[str, Place], list[list[Place]]]:
    """The column and the row of each node, and for each edge the free places by which it passes the columns between."""
    ranked = ranks(nodes, edges)
    known: list[tuple[int, int | str]] = [(rank, node) for node, rank in ranked.items()]  # a number is an edge
    for number, (start, end) in enumerate(edges):
        if start in ranked and end in ranked:
            known += [(rank, number) for rank in range(ranked[start] + 1, ranked[end])]
    before: dict[tuple[int, int | str], list[tuple[int, int | str]]] = {one: [] for one in known}
    for number, (start, end) in enumerate(edges):
        if start not in ranked or end not in ranked:
            continue
        first, last = ranked[start], ranked[end]
        passed: list[tuple[int, int | str]] = [(rank, number) for rank in range(first + 1, last)]
        way = [(first, start), *passed, (last, end)]
        for one, next_one in pairwise(way):
            before[next_one].append(one)
    rows: dict[tuple[int, int | str], int] = {}

    def middle(one: tuple[int, int | str]) -> float:
        found = [rows[other] for other in before[one] if other in rows]
        return sum(found) / len(found) if found else 0.0

    for rank in sorted(set(ranked.values())):
        for row, one in enumerate(sorted((one for one in known if one[0] == rank), key=middle)):
            rows[one] = row
    return (
        {node: (rank, rows[rank, node]) for node, rank in ranked.items()},
        [[(rank, rows[rank, number]) for rank, one in known if one == number] for number in range(len(edges))],
    )
