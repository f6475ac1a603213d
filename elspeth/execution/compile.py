"""From a graph to the walk of one of its stages."""

from __future__ import annotations

from collections.abc import Callable

from elspeth.execution.aggregate import AggregationStep
from elspeth.execution.executor import RetryPolicy, Step, Walk
from elspeth.execution.join import CoalesceStep
from elspeth.execution.recorder import Recorder
from elspeth.execution.steps import GateStep, TransformStep
from elspeth.execution.waiting_join import WaitingCoalesceStep
from elspeth.graph.model import Graph, Node
from elspeth.plugins.contract import Context, Plugin

_STEPS: dict[str, Callable[[Node, Walk], Step]] = {
    "transform": TransformStep,
    "gate": GateStep,
    "coalesce": CoalesceStep,
    "aggregation": AggregationStep,
}


def compile_walk(
    graph: Graph,
    stage: int,
    plugins: dict[str, Plugin],
    recorder: Recorder,
    context: Callable[[str], Context],
    *,
    retry: RetryPolicy | None = None,
    touch: Callable[[int], None] = lambda _: None,
) -> Walk:
    """The walk through the nodes of `stage`; `plugins` maps node ids to plugins that are set up."""
    walk = Walk(graph, stage, plugins, recorder, context, retry=retry, touch=touch)
    waits = graph.stateful[stage]
    for node in graph.nodes:
        if node.stage == stage and node.kind == "coalesce" and waits:
            walk.steps[node.id] = WaitingCoalesceStep(node, walk)
        elif node.stage == stage and node.kind in _STEPS:
            walk.steps[node.id] = _STEPS[node.kind](node, walk)
    for step in walk.steps.values():
        step.link()
    return walk
