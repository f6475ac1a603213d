"""What expressions call a field that has another name in the input: found once, before they are compiled."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from elspeth.expressions import compile_expression
from elspeth.graph.flows import Flow, arriving
from elspeth.graph.model import Graph, Node
from elspeth.plugins.contract import Changes, Source

BATCH_AGE = "batch_age_seconds"
BATCH_FACTS = frozenset({"batch_count", BATCH_AGE})
"""What a trigger's condition sees beside the fields of a row."""

Headers = Mapping[str, Mapping[str, str]]


def field_names(graph: Graph, plugins: Mapping[str, object], headers: Headers) -> dict[str, dict[str, str]]:
    """By node: the names in its expressions that are those of the input, and what the fields are called in rows.

    A name that rows have themselves means that field, as far as it is known what rows have. Where sources call
    different fields so, the name means none of them. `headers` maps sources to the header that was found; of one that
    is not in it, the plugin is asked.
    """
    sources = list(graph.of_kind("source"))
    found: dict[str, dict[str, str]] = {}
    for node_id, flows in arriving(graph, plugins, headers).items():
        for name in _asked(graph.node(node_id), plugins.get(node_id)):
            if any(_has(flow, name) for flow in flows):
                continue
            fields = {_field(name, node, plugins.get(node.id), headers.get(node.id)) for node in sources} - {None}
            field = fields.pop() if len(fields) == 1 else None
            if field is not None and field != name and not all(flow.lacks(field) for flow in flows):
                found.setdefault(node_id, {})[name] = field
    return found


def _asked(node: Node, plugin: object) -> Iterable[str]:
    asked = compile_expression(node.condition).fields if node.condition else frozenset()
    if node.kind == "aggregation":
        asked -= BATCH_FACTS
    return sorted(asked | plugin.fields_named() if isinstance(plugin, Changes) else asked)


def _has(flow: Flow, name: str) -> bool:
    return name in (flow.certain if flow.possible is None else flow.possible)


def _field(name: str, node: Node, plugin: object, header: Mapping[str, str] | None) -> str | None:
    """What a source calls the field in rows; None: it has no such field."""
    if header is None:
        return plugin.field_of(name) if isinstance(plugin, Source) else None
    return name if name in header else next((field for field, original in header.items() if original == name), None)
