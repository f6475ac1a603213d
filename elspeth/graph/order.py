"""The order of nodes, circles in it, and the hops in which they run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence


def circles(successors: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """One way round for every set of nodes that lead to one another, in the order of `successors`.

    Found by taking away nodes with nothing before them, then those with nothing behind them, until only circles and
    what lies between them are left.
    """
    following = {node: [other for other in others if other in successors] for node, others in successors.items()}
    left = set(following)
    while True:
        targets = {other for node in left for other in following[node] if other in left}
        keep = {node for node in left if node in targets and any(other in left for other in following[node])}
        if keep == left:
            break
        left = keep
    found: list[list[str]] = []
    seen: set[str] = set()
    for start in following:
        if start not in left or start in seen:
            continue
        path: list[str] = []
        node = start
        while node not in path and node not in seen:
            path.append(node)
            node = next(other for other in following[node] if other in left)
        if node in path:
            found.append(path[path.index(node) :])
        seen.update(path)
    return found


def topological(nodes: Sequence[str], successors: Mapping[str, Iterable[str]]) -> list[str]:
    """The nodes ordered so that every edge leads forward; among equals the given order holds.

    Kahn's algorithm (1962). Raises `ValueError` if the edges run in a circle.
    """
    before = dict.fromkeys(nodes, 0)
    for node in nodes:
        for other in successors.get(node, ()):
            before[other] += 1
    rank = {node: place for place, node in enumerate(nodes)}
    ready = [node for node in nodes if before[node] == 0]
    ordered: list[str] = []
    while ready:
        ready.sort(key=rank.__getitem__)
        node = ready.pop(0)
        ordered.append(node)
        for other in successors.get(node, ()):
            before[other] -= 1
            if before[other] == 0:
                ready.append(other)
    if len(ordered) != len(nodes):
        raise ValueError("the edges run in a circle")
    return ordered


def stage_after(stages: Iterable[int], *, stateful: bool) -> int:
    """The first hop at or after all of `stages` in which such a node can run: even ones are stateless, odd stateful."""
    latest = max(stages, default=0)
    return latest if latest % 2 == stateful else latest + 1
