"""The fields that the rows of a sink will have, in order, where that is known before the first one came."""

from __future__ import annotations

from collections.abc import Mapping

from elspeth.graph.flows import Flow, arriving, schema_of
from elspeth.graph.model import Graph, Node
from elspeth.plugins.contract import REFUSED

Headers = Mapping[str, Mapping[str, str]]


def known_fields(graph: Graph, plugins: Mapping[str, object], headers: Headers) -> dict[str, tuple[str, ...]]:
    """The fields by sink; a sink is left out where rows of several shapes may come, or one whose order is unknown.

    Known is the order of an input with a header, or with a fixed schema, as long as no step adds a field or takes one
    away. Rows that were refused have the fields that tell why behind their own. `headers` maps sources to the header
    that was found.
    """
    flows = arriving(graph, plugins, headers)
    orders = [order for node in graph.of_kind("source") if (order := _order(node, headers.get(node.id))) is not None]
    found: dict[str, tuple[str, ...]] = {}
    for sink in graph.of_kind("sink"):
        shapes = _shapes(graph, sink, flows, headers)
        own = next((order for order in orders if shapes == {frozenset(order)}), None)
        if own is None:
            continue
        from_source = any(_refuses_into(node, sink) for node in graph.of_kind("source"))
        evidence = dict.fromkeys((*(REFUSED if from_source else ()), *graph.evidence(sink.id)))
        found[sink.id] = (*(name for name in own if name not in evidence), *evidence)
    return found


def _shapes(
    graph: Graph, sink: Node, flows: Mapping[str, list[Flow]], headers: Headers
) -> set[frozenset[str] | None]:  # fmt: skip
    """The sets of fields of the rows that may come, without those that tell why one was refused; None: unknown."""
    shapes = {_closed(flow) for flow in flows[sink.id]}
    for node in graph.nodes:
        if not _refuses_into(node, sink):
            continue
        if node.kind == "source":
            header = headers.get(node.id)
            shapes.add(frozenset(header) if header is not None else None)
        else:
            shapes |= {_closed(flow) for flow in flows[node.id]}
    return shapes


def _closed(flow: Flow) -> frozenset[str] | None:
    return flow.certain if flow.certain == flow.possible else None


def _refuses_into(node: Node, sink: Node) -> bool:
    return node.on_error is not None and node.on_error.node == sink.id


def _order(source: Node, header: Mapping[str, str] | None) -> tuple[str, ...] | None:
    """The fields of a source's rows in order: those of the input, then those that the schema fills in."""
    schema = schema_of(source)
    if header is None and schema.mode != "fixed":
        return None
    return tuple(dict.fromkeys((*(header or ()), *(field.name for field in schema.fields))))
