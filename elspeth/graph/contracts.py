"""Which fields rows have on every path, and which steps would find one missing: known before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from elspeth.expressions import compile_expression
from elspeth.graph.model import DISCARD, Graph, Node
from elspeth.graph.steps import steps_of
from elspeth.plugins.contract import Changes
from elspeth.schema import RowSchema
from elspeth.settings.model import Settings
from elspeth.settings.problems import KeyPath, Positions, Problem, suggest

MAX_FLOWS = 64
"""Kinds of rows told apart at one node; where more arrive, only what holds for all is known."""


@dataclass(frozen=True, slots=True)
class Flow:
    """What is known of the rows that come along one path.

    `certain` fields are in every row, `possible` are all that can be in one; None: any. `path` names the nodes passed.
    """

    certain: frozenset[str]
    possible: frozenset[str] | None
    path: tuple[str, ...]

    def lacks(self, field: str) -> bool:
        """Whether no row on this path has the field."""
        return self.possible is not None and field not in self.possible

    @property
    def way(self) -> str:
        """The path as people read it."""
        return " -> ".join(self.path)


def check_contracts(
    graph: Graph, settings: Settings, plugins: Mapping[str, object], positions: Positions | None = None
) -> list[Problem]:
    """Problems with fields along the paths of a graph, in topological order.

    A field is a problem where `required_fields` names it and nothing guarantees it, and where a condition, a schema or
    a plugin needs it while the rows of some path are known not to have it. `plugins` maps node ids to plugin objects,
    whose `fields_in`, `fields_out` and `fields_possible` are asked; behind a step without one, fields are unknown.
    """
    check = _Check(graph, plugins, {step.id: step.path for step in steps_of(settings)}, positions or Positions())
    arriving: dict[str, list[Flow]] = {node.id: [] for node in graph.nodes}
    for node in graph.nodes:
        flows = [Flow(frozenset(), None, ())] if node.kind == "source" else arriving[node.id]
        if node.kind != "coalesce":  # there it matters how many came
            flows = _distinct(flows)
        check.node(node, flows)
        leaving = _distinct(check.after(node, flows))
        for target in (target.node for targets in node.routes.values() for target in targets):
            if target != DISCARD:
                arriving[target] += leaving
    return check.problems


class _Check:
    def __init__(
        self, graph: Graph, plugins: Mapping[str, object], paths: Mapping[str, KeyPath], positions: Positions
    ) -> None:
        self.plugins = plugins
        self.paths = paths
        self.positions = positions
        self.problems: list[Problem] = []
        self.conditions = {node.id: compile_expression(node.condition) for node in graph.nodes if node.condition}

    def after(self, node: Node, flows: list[Flow]) -> list[Flow]:
        """What leaves a node, given what reaches it."""
        flows = [Flow(flow.certain, flow.possible, (*flow.path, node.id)) for flow in flows]
        schema = _schema(node)
        guaranteed = frozenset(schema.guaranteed_fields)
        if node.kind == "source":
            named = frozenset(spec.name for spec in schema.fields)  # a missing optional one is filled in when read
            closed = named | guaranteed if schema.mode == "fixed" else None
            return [Flow(named | guaranteed, closed, flow.path) for flow in flows]
        if node.kind == "coalesce":
            return [_merged(node, flows)] if flows else []
        if node.kind in ("gate", "sink"):
            return flows
        plugin = self.plugins.get(node.id)
        return [_changed(plugin if isinstance(plugin, Changes) else None, flow, guaranteed) for flow in flows]

    def node(self, node: Node, flows: list[Flow]) -> None:
        """Note what the rows that reach a node lack."""
        schema = _schema(node)
        path = self.paths[node.id]
        if node.kind == "gate" and node.id in self.conditions:
            self._lacking(node, flows, sorted(self.conditions[node.id].required), (*path, "condition"))
        if node.kind in ("transform", "aggregation", "sink"):
            self._unproven(node, flows, schema.required_fields)
            plugin = self.plugins.get(node.id)
            if isinstance(plugin, Changes):
                self._lacking(node, flows, sorted(plugin.fields_in()), (*path, "options"))
            if node.kind == "sink" or node.validate_input:
                needed = [spec.name for spec in schema.fields if not spec.optional]
                self._lacking(node, flows, needed, (*path, "options", "schema"))
                if schema.mode == "fixed":
                    self._unwanted(node, flows, schema)

    def _lacking(self, node: Node, flows: Iterable[Flow], fields: Iterable[str], path: KeyPath) -> None:
        for field in fields:
            for flow in flows:
                if flow.lacks(field):
                    has = sorted(flow.possible or ())
                    self._problem(path, f"{node.id!r} needs the field {field!r}, and rows that come by {flow.way} have "
                                  "none", field, has)  # fmt: skip
                    break

    def _unproven(self, node: Node, flows: Iterable[Flow], fields: Iterable[str]) -> None:
        for field in fields:
            for flow in flows:
                if field not in flow.certain:
                    message = (
                        f"{node.id!r} requires the field {field!r}, which nothing guarantees for rows that come by "
                    )
                    has = sorted(flow.certain)
                    self._problem((*self.paths[node.id], "required_fields"), message + flow.way, field, has)
                    break

    def _unwanted(self, node: Node, flows: Iterable[Flow], schema: RowSchema) -> None:
        known = {spec.name for spec in schema.fields}
        for flow in flows:
            extra = sorted(flow.certain - known)
            if extra:
                names = ", ".join(map(repr, extra))
                message = (
                    f"{node.id!r} takes no field but those of its schema, and rows that come by {flow.way} also have "
                )
                self._problem((*self.paths[node.id], "options", "schema"), message + names, "", sorted(known))
                return

    def _problem(self, path: KeyPath, message: str, field: str, has: list[str]) -> None:
        suggestion = suggest(field, has) if field else ""
        self.problems.append(
            self.positions.problem(path, message, found=field, allowed=", ".join(has), suggestion=suggestion)
        )


def _schema(node: Node) -> RowSchema:
    return RowSchema.from_dict(node.schema) if node.schema is not None else RowSchema()


def _changed(plugin: Changes | None, flow: Flow, guaranteed: frozenset[str]) -> Flow:
    certain = plugin.fields_out(flow.certain) if plugin else None
    possible = plugin.fields_possible(flow.possible) if plugin and flow.possible is not None else None
    if possible is not None:
        possible |= guaranteed
    return Flow((certain or frozenset()) | guaranteed, possible, flow.path)


def _merged(node: Node, flows: list[Flow]) -> Flow:
    """What a coalesce gives out, whichever branches took part."""
    path = flows[0].path
    branches = frozenset(node.branches)
    if node.merge == "nested":
        return Flow(branches if node.policy == "require_all" else frozenset(), branches, path)
    certain = frozenset.intersection(*(flow.certain for flow in flows))
    if node.merge == "union" and node.policy == "require_all" and len(flows) == len(branches):
        certain = frozenset().union(*(flow.certain for flow in flows))
    closed = [flow.possible for flow in flows if flow.possible is not None]
    return Flow(certain, frozenset().union(*closed) if len(closed) == len(flows) else None, path)


def _distinct(flows: list[Flow]) -> list[Flow]:
    """One flow for each kind of rows; beyond `MAX_FLOWS` one for all."""
    kinds: dict[tuple[frozenset[str], frozenset[str] | None], Flow] = {}
    for flow in flows:
        kinds.setdefault((flow.certain, flow.possible), flow)
    if len(kinds) <= MAX_FLOWS:
        return list(kinds.values())
    return [Flow(frozenset.intersection(*(certain for certain, _ in kinds)), None, flows[0].path)]
