"""Transforms that threads of a pool share: as many calls at once as the node asked for, and no more."""

from __future__ import annotations

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
        self._process = transform.process
        self._turns = BoundedSemaphore(count)

    def process(self, row: Row, ctx: Context) -> Any:
        """What the transform says, once it is this call's turn."""
        with self._turns:
            return self._process(row, ctx)


def limited(graph: Graph, plugins: dict[str, Plugin], threads: int) -> dict[str, Plugin]:
    """The plugins as a pool of so many threads may use them, by node id."""
    found = dict(plugins)
    for node_id, plugin in plugins.items():
        count = graph.node(node_id).pool_size
        if count < threads and isinstance(plugin, Transform):
            found[node_id] = LimitedTransform(plugin, count)
    return found
