"""Transforms that threads of a pool share: as many calls at once as the node asked for, and no more."""

from __future__ import annotations

from collections.abc import Callable
from threading import BoundedSemaphore
from typing import Any

from elspeth.graph.model import Graph
from elspeth.plugins.contract import Context, Plugin, Row, Transform


class LimitedTransform(Transform):
    """Stands before a transform, lets `count` calls in, and makes further ones wait for their turn.

    A pool has as many threads as the widest step of the pipeline wants. To the other steps it must not show: their
    plugins were promised one call at a time, or fewer at once than there are threads.
    """

    def __init__(self, transform: Transform, count: int) -> None:
        super().__init__(transform.options)
        self.stands_before = transform
        self._process = transform.process
        self._turns = BoundedSemaphore(count)

    def process(self, row: Row, ctx: Context) -> Any:
        """What the transform says, once it is this call's turn."""
        with self._turns:
            return self._process(row, ctx)


def pool_of(graph: Graph, stage: int) -> int:
    """How many rows the run may have in flight in a stage: what the widest of its steps asks for."""
    return max((node.pool_size for node in graph.nodes if node.stage == stage), default=1)


def limited(
    graph: Graph, stage: int, plugins: dict[str, Plugin], threads: int, share: Callable[[int], int]
) -> dict[str, Plugin]:
    """The plugins, by node id, as a pool of so many threads may use them in this stage.

    `share` says how many of the calls that a node's `pool_size` allows in the run are this process's.
    """
    found = dict(plugins)
    for node_id, plugin in plugins.items():
        node = graph.node(node_id)
        count = 1 if node.pool_size == 1 else share(node.pool_size)
        if node.stage == stage and count < threads and isinstance(plugin, Transform):
            found[node_id] = LimitedTransform(plugin, count)
    return found
