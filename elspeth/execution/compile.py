"""From a graph to the executor of one of its stages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping

from elspeth.execution.aggregate import AggregationStep
from elspeth.execution.deduplicate import DeduplicateStep
from elspeth.execution.executor import CompiledNode, Executor
from elspeth.execution.gate import GateStep
from elspeth.execution.join import JoinStep
from elspeth.execution.recorder import Recorder
from elspeth.execution.retry import RetryPolicy
from elspeth.execution.transform import TransformStep
from elspeth.execution.waiting_join import WaitingJoinStep
from elspeth.graph.model import Graph, Node
from elspeth.graph.steps import ORDERED_TRANSFORMS
from elspeth.plugins.contract import Context, Plugin

Steps = Mapping[str, Callable[[Node, Executor], CompiledNode]]

STEPS: Steps = {
    "transform": TransformStep,
    "deduplicate": DeduplicateStep,
    "gate": GateStep,
    "coalesce": JoinStep,
    "waiting coalesce": WaitingJoinStep,
    "aggregation": AggregationStep,
}
"""What nodes are compiled to: by kind, and by what makes some of a kind special in an ordered stage."""


CALLS_ANYWHERE, CALLS_PER_NODE = 2000, 6
"""Calls within calls that a token may need: for rows (nested up to `canonical.MAX_DEPTH`) and plugins, and per node."""


def compile_executor(
    graph: Graph,
    stage: int,
    plugins: dict[str, Plugin],
    recorder: Recorder,
    context: Callable[[str], Context],
    *,
    retry: RetryPolicy | None = None,
    touch: Callable[[int], None] = lambda _: None,
    steps: Steps = STEPS,
) -> Executor:
    """The executor of the nodes of `stage`; `plugins` maps node ids to plugins that are set up."""
    # A token goes from node to node by calls within calls; Python's own bound would be met by some 300 nodes in a row.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), CALLS_ANYWHERE + CALLS_PER_NODE * len(graph.nodes)))
    executor = Executor(graph, stage, plugins, recorder, context, retry=retry, touch=touch)
    for node in graph.nodes:
        if node.stage == stage and (kind := _kind(node, waits=graph.stateful[stage])) in steps:
            executor.steps[node.id] = steps[kind](node, executor)
    for step in executor.steps.values():
        step.link()
    return executor


def _kind(node: Node, *, waits: bool) -> str:
    """The name in `STEPS` of what a node is compiled to; `waits`: its stage is an ordered one."""
    if node.kind == "coalesce" and waits:
        return "waiting coalesce"
    if node.kind == "transform" and node.plugin in ORDERED_TRANSFORMS:
        return "deduplicate"
    return node.kind
