"""Which types fields have at each step: those that sources declare, as far as steps leave or give them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from elspeth.expressions import compile_expression
from elspeth.graph.field_names import field_names
from elspeth.graph.labels import CONTINUE
from elspeth.graph.model import DISCARD, Graph, Node
from elspeth.graph.steps import steps_of
from elspeth.plugins.contract import Changes
from elspeth.schema import RowSchema
from elspeth.schema.typed_text import MIXED, TYPED_KINDS
from elspeth.settings.model import Settings
from elspeth.settings.problems import Positions, Problem

Types = Mapping[str, str]


def with_types(graph: Graph, plugins: Mapping[str, object]) -> Graph:
    """The graph, in which every step knows the types of the fields that come to it.

    `plugins` maps node ids to plugin objects, whose `types_out` is asked. What a step's own schema says counts for it.
    """
    arriving: dict[str, list[Types]] = {node.id: [] for node in graph.nodes}
    names = field_names(graph, plugins, {})
    nodes = []
    for node in graph.nodes:
        types = {**merged(arriving[node.id]), **_declared(node)}
        spelt = {name: types[field] for name, field in names.get(node.id, {}).items() if field in types}
        types |= spelt
        nodes.append(
            msgspec.structs.replace(node, types=types) if types and node.kind not in ("source", "sink") else node
        )
        leaving = _without(spelt, _leaving(node, types, plugins.get(node.id)), plugins.get(node.id))
        types = dict(_without(spelt, types, None))
        for label, targets in node.routes.items():
            # What leaves a transform by a side output is as it came.
            given = types if node.kind == "transform" and label != CONTINUE else leaving
            for target in targets:
                if target.node != DISCARD:
                    arriving[target.node].append(given)
    return msgspec.structs.replace(graph, nodes=tuple(nodes))


def check_types(
    graph: Graph, settings: Settings, plugins: Mapping[str, object], positions: Positions | None = None
) -> list[Problem]:
    """Problems of conditions and options that can have no value for any row, because of the types of fields."""
    paths = {step.id: step.path for step in steps_of(settings)}
    positions = positions or Positions()
    problems: list[Problem] = []
    for node in graph.nodes:
        if node.condition is not None:
            key = (*paths[node.id], "condition") if node.kind == "gate" else (*paths[node.id], "trigger", "condition")
            found = compile_expression(node.condition, node.types).problems
            problems += [positions.problem(key, error.sentence) for error in found]
        plugin = plugins.get(node.id)
        if isinstance(plugin, Changes):
            for option, sentence in plugin.check_types(node.types):
                problems.append(positions.problem((*paths[node.id], "options", *option), sentence))
    return problems


def merged(ways: Sequence[Types]) -> dict[str, str]:
    """The types of fields where several ways meet.

    A field that is a decimal, date or time by one way is so by all (a row in which it is something else is refused
    where it is read); `MIXED` if the ways have different ones of these. Other types are known where all ways agree.
    """
    found: dict[str, str] = {}
    for name in dict.fromkeys(name for way in ways for name in way):
        kinds = {way.get(name) for way in ways}
        typed = kinds & {*TYPED_KINDS, MIXED}
        if typed:
            found[name] = str(next(iter(typed))) if len(typed) == 1 else MIXED
        elif len(kinds) == 1:
            found[name] = ways[0][name]
    return found


def _without(spelt: Types, types: Types, plugin: object) -> Types:
    """The types without other names of fields, unless the plugin gives rows fields of these names."""
    if not spelt:
        return types
    made = (plugin.fields_out(frozenset()) or ()) if isinstance(plugin, Changes) else ()
    return {name: kind for name, kind in types.items() if name not in spelt or name in made}


def _declared(node: Node) -> dict[str, str]:
    if node.schema is None or node.kind == "source":
        return {}
    fields = RowSchema.from_dict(node.schema).fields
    return {field.name: field.type for field in fields if field.type in TYPED_KINDS or node.validate_input}


def _leaving(node: Node, types: Types, plugin: object) -> Types:
    if node.kind == "source":
        fields = RowSchema.from_dict(node.schema).fields if node.schema is not None else ()
        return {field.name: field.type for field in fields}
    if node.kind == "coalesce":
        return {} if node.merge == "nested" else {name: kind for name, kind in types.items() if kind in TYPED_KINDS}
    if node.kind == "gate":
        return types
    if not isinstance(plugin, Changes):
        return {}
    if node.kind == "aggregation" and node.output_mode == "passthrough":
        return {name: kind for name, kind in types.items() if kind in TYPED_KINDS}
    return plugin.types_out(types)
