"""Which fields rows have on every path, and which steps would find one missing: known before anything runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from elspeth.expressions import compile_expression
from elspeth.graph.field_names import BATCH_FACTS, field_names
from elspeth.graph.flows import Flow, arriving, schema_of
from elspeth.graph.model import Graph, Node
from elspeth.graph.steps import steps_of
from elspeth.plugins.contract import Changes
from elspeth.schema import RowSchema
from elspeth.schema.values import presence
from elspeth.settings.model import Settings
from elspeth.settings.problems import KeyPath, Positions, Problem, suggest

Fields = tuple[frozenset[str], frozenset[str]]


def check_contracts(
    graph: Graph, settings: Settings, plugins: Mapping[str, object], positions: Positions | None = None, *,
    headers: Mapping[str, Mapping[str, str]] | None = None, outputs: Mapping[str, Fields] | None = None,
) -> list[Problem]:  # fmt: skip
    """Problems with fields along the paths of a graph, in topological order.

    A field is a problem where `required_fields` names it and nothing guarantees it, and where a condition, a schema or
    a plugin needs it while the rows of some path are known not to have it. `plugins` maps node ids to plugin objects,
    whose `fields_in`, `fields_out` and `fields_possible` are asked; behind a step without one, fields are unknown.

    Once inputs and outputs were looked at, `headers` holds the header of each source that has one, and `outputs` the
    fields that a sink's rows must and may have because of what is in its file.
    """
    names = field_names(graph, plugins, headers or {})
    paths = {step.id: step.path for step in steps_of(settings)}
    check = _Check(graph, plugins, paths, positions or Positions(), names)
    check.headers, check.outputs = headers or {}, outputs or {}
    for node_id, flows in arriving(graph, plugins, check.headers).items():
        check.node(graph.node(node_id), flows)
    return check.problems


class _Check:
    def __init__(
        self, graph: Graph, plugins: Mapping[str, object], paths: Mapping[str, KeyPath], positions: Positions,
        names: Mapping[str, Mapping[str, str]],
    ) -> None:  # fmt: skip
        self.plugins = plugins
        self.paths = paths
        self.positions = positions
        self.problems: list[Problem] = []
        self.headers: Mapping[str, Mapping[str, str]] = {}
        self.outputs: Mapping[str, Fields] = {}
        self.names = names
        self.conditions = {
            node.id: compile_expression(node.condition, names=names.get(node.id))
            for node in graph.nodes
            if node.condition
        }

    def node(self, node: Node, flows: list[Flow]) -> None:
        """Note what the rows that reach a node lack."""
        schema = schema_of(node)
        path = self.paths[node.id]
        if node.kind == "source" and node.id in self.headers:
            self._header(node, schema, self.headers[node.id])
        if node.kind == "gate" and node.id in self.conditions:
            self._lacking(node, flows, sorted(self.conditions[node.id].required), (*path, "condition"))
        if node.kind == "aggregation" and node.id in self.conditions:
            asked = self.conditions[node.id].required - BATCH_FACTS
            self._lacking(node, flows, sorted(asked), (*path, "trigger", "condition"))
        if node.id in self.outputs:
            self._unfitting(node, flows, *self.outputs[node.id])
        if node.kind in ("transform", "aggregation", "sink"):
            self._unproven(node, flows, schema.required_fields)
            plugin = self.plugins.get(node.id)
            if isinstance(plugin, Changes):
                names = self.names.get(node.id, {})
                needed = {names.get(field, field) for field in plugin.fields_in()}
                self._lacking(node, flows, sorted(needed), (*path, "options"))
            if node.kind == "sink" or node.validate_input:
                declared = [spec.name for spec in schema.fields if not spec.optional]
                self._lacking(node, flows, declared, (*path, "options", "schema"))
                if schema.mode == "fixed":
                    self._unwanted(node, flows, schema)

    def _header(self, node: Node, schema: RowSchema, header: Mapping[str, str]) -> None:
        """Where the header that was found and the schema that was written cannot both be right."""
        known = {field.name for field in schema.fields}
        wanted = [field.name for field in schema.fields if not field.optional] + presence(schema)
        path = (*self.paths[node.id], "options", "schema")
        for name in dict.fromkeys(wanted):
            if name not in header:
                words = otherwise(name, header)
                message = f"every row of {node.id!r} will be refused: its header has no {name!r}{words}"
                self._problem(path, message, "" if words else name, list(header))
        if schema.mode == "fixed":
            for name in header:
                if name not in known:
                    message = (
                        f"every row of {node.id!r} will be refused: its header has {name!r}, which is not in the schema"
                    )
                    self._problem(path, message, "", sorted(known))

    def _unfitting(self, node: Node, flows: Iterable[Flow], needed: frozenset[str], allowed: frozenset[str]) -> None:
        """Rows that can never be written behind what a file holds already."""
        path = (*self.paths[node.id], "options", "path")
        for flow in flows:
            lacking = sorted(needed - flow.possible) if flow.possible is not None else []
            extra = sorted(flow.certain - allowed)
            words = [f"has no column for {', '.join(map(repr, extra))}"] if extra else []
            words += [f"has the columns {', '.join(map(repr, lacking))}, of which they have none"] if lacking else []
            if words:
                message = f"the file of {node.id!r} is appended to, and for rows that come by {flow.way} it "
                self._problem(path, message + " and ".join(words), "", sorted(allowed))
                return

    def _lacking(self, node: Node, flows: Iterable[Flow], fields: Iterable[str], path: KeyPath) -> None:
        for field in fields:
            for flow in flows:
                if flow.lacks(field):
                    has = sorted(flow.possible or ())
                    message = f"{node.id!r} needs the field {field!r}, and rows that come by {flow.way} have none"
                    letters = _letters(field, has)
                    self._problem(path, message + letters, "" if letters else field, has)
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


def otherwise(name: str, header: Mapping[str, str]) -> str:
    """How a field that is in no header is there all the same, in brackets: renamed, or in other letters; else empty."""
    called = next((field for field, original in header.items() if original == name), "")
    return f" (it is called {called!r} in rows)" if called else _letters(name, header)


def _letters(name: str, has: Iterable[str]) -> str:
    for other in has:
        if other.casefold() == name.casefold():
            return f" (it is there in other letters: {other!r})"
    return ""
