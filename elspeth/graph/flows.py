"""Which fields the rows have that come along each path through a graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from elspeth.graph.labels import CONTINUE
from elspeth.graph.model import DISCARD, Graph, Node
from elspeth.plugins.contract import Changes
from elspeth.schema import RowSchema

MAX_FLOWS = 64
"""Kinds of rows told apart at one node; where more arrive, only what holds for all is known."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of the rows that come along one path.

    `certain` fields are in every row, `possible` are all that can be in one; None: any. `path` names the nodes passed.
    `order` is that of the fields where it is known; then every row has these, and no others.
    """

    certain: frozenset[str]
    possible: frozenset[str] | None
    path: tuple[str, ...]
    order: tuple[str, ...] | None = None

    def lacks(self, field: str) -> bool:
        """Whether no row on this path has the field."""
        return self.possible is not None and field not in self.possible

    @property
    def way(self) -> str:
        """The path as people read it."""
        return " -> ".join(self.path)


def arriving(
    graph: Graph, plugins: Mapping[str, object], headers: Mapping[str, Mapping[str, str]]
) -> dict[str, list[Flow]]:
    """What reaches each node by the ways that rows go when nothing refuses them; of a source, nothing is known yet.

    `plugins` maps node ids to plugin objects, `headers` sources to the header that was found.
    """
    found: dict[str, list[Flow]] = {node.id: [] for node in graph.nodes}
    for node in graph.nodes:
        flows = [Flow(frozenset(), None, ())] if node.kind == "source" else found[node.id]
        if node.kind != "coalesce":  # there it matters how many came
            flows = distinct(flows)
        found[node.id] = flows
        out = distinct(leaving(node, flows, plugins, headers))
        aside = [replace(flow, path=(*flow.path, node.id)) for flow in flows]
        for label, targets in node.routes.items():
            # What leaves a transform by a side output is as it came.
            gives = aside if node.kind == "transform" and label != CONTINUE else out
            for target in targets:
                if target.node != DISCARD:
                    found[target.node] += gives
    return found


def leaving(
    node: Node, flows: list[Flow], plugins: Mapping[str, object], headers: Mapping[str, Mapping[str, str]]
) -> list[Flow]:
    """What leaves a node, given what reaches it."""
    flows = [replace(flow, path=(*flow.path, node.id)) for flow in flows]
    schema = schema_of(node)
    guaranteed = frozenset(schema.guaranteed_fields)
    if node.kind == "source":
        named = frozenset(spec.name for spec in schema.fields)  # a missing optional one is filled in when read
        closed = named | guaranteed if schema.mode == "fixed" else None
        header = headers.get(node.id)
        if header is not None:
            named |= frozenset(header)
            closed = named | guaranteed if closed is None else closed
        order = None
        if header is not None or schema.mode == "fixed":
            order = tuple(dict.fromkeys((*(header or ()), *(spec.name for spec in schema.fields))))
        return [_flow(named | guaranteed, closed, flow.path, order) for flow in flows]
    if node.kind == "coalesce":
        return [_merged(node, flows)] if flows else []
    if node.kind in ("gate", "sink"):
        return flows
    plugin = plugins.get(node.id)
    return [_changed(plugin if isinstance(plugin, Changes) else None, flow, guaranteed) for flow in flows]


def _changed(plugin: Changes | None, flow: Flow, guaranteed: frozenset[str]) -> Flow:
    certain = plugin.fields_out(flow.certain) if plugin else None
    possible = plugin.fields_possible(flow.possible) if plugin and flow.possible is not None else None
    if possible is not None:
        possible |= guaranteed
    order = None
    if plugin and flow.order is not None:
        order = plugin.fields_order(flow.order) or tuple(name for name in flow.order if name in (certain or ()))
    return _flow((certain or frozenset()) | guaranteed, possible, flow.path, order)


def _merged(node: Node, flows: list[Flow]) -> Flow:
    """What a coalesce gives out, whichever branches took part."""
    path = flows[0].path
    branches = frozenset(node.branches)
    if node.merge == "nested":
        return _flow(branches if node.policy == "require_all" else frozenset(), branches, path, tuple(node.branches))
    certain = frozenset.intersection(*(flow.certain for flow in flows))
    if node.merge == "union" and node.policy == "require_all" and len(flows) == len(branches):
        certain = frozenset().union(*(flow.certain for flow in flows))
    closed = [flow.possible for flow in flows if flow.possible is not None]
    order = flows[0].order if len({flow.order for flow in flows}) == 1 else None
    return _flow(certain, frozenset().union(*closed) if len(closed) == len(flows) else None, path, order)


def _flow(
    certain: frozenset[str], possible: frozenset[str] | None, path: tuple[str, ...], order: tuple[str, ...] | None
) -> Flow:
    """What is known, with the order if every row has just these fields."""
    fits = order is not None and certain == possible == frozenset(order)
    return Flow(certain, possible, path, order if fits else None)


def distinct(flows: list[Flow]) -> list[Flow]:
    """One flow for each kind of rows; beyond `MAX_FLOWS` one for all."""
    kinds = {(flow.certain, flow.possible, flow.order): flow for flow in reversed(flows)}
    if len(kinds) <= MAX_FLOWS:
        return list(reversed(kinds.values()))
    return [Flow(frozenset.intersection(*(certain for certain, *_ in kinds)), None, flows[0].path)]


def schema_of(node: Node) -> RowSchema:
    """The row schema of a node; where it states none, rows are taken as they come."""
    return RowSchema.from_dict(node.schema) if node.schema is not None else RowSchema()
