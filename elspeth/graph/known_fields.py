"""The fields that the rows of a sink will have, in order, where that is known before the first one came."""

from __future__ import annotations

from collections.abc import Mapping

from elspeth.graph.flows import Flow, arriving
from elspeth.graph.model import Graph, Node
from elspeth.plugins.contract import ERROR_FIELDS, REFUSED

Headers = Mapping[str, Mapping[str, str]]


def known_fields(graph: Graph, plugins: Mapping[str, object], headers: Headers) -> dict[str, tuple[str, ...]]:
    """The fields by sink; a sink is left out where rows of several shapes may come, or one whose order is unknown.

    Known is the order of an input with a header, or with a fixed schema, and what becomes of it in steps that tell.
    Rows that were refused have the fields that tell why behind their own. `headers` maps sources to the header that was
    found.
    """
    flows = arriving(graph, plugins, headers)
    found: dict[str, tuple[str, ...]] = {}
    for sink in graph.of_kind("sink"):
        orders = {flow.order for flow in _ways(graph, sink, flows, headers)}
        own = orders.pop() if len(orders) == 1 else None
        if own is None:
            continue
        from_source = any(_refuses_into(node, sink) for node in graph.of_kind("source"))
        evidence = dict.fromkeys((*(REFUSED if from_source else ()), *graph.evidence(sink.id)))
        found[sink.id] = (*(name for name in own if name not in evidence), *evidence)
    return found


def unlike_fields(graph: Graph, plugins: Mapping[str, object], headers: Headers) -> dict[str, tuple[str, ...]]:
    """By sink the fields, in alphabetical order, that only some of its rows have because steps refused them early.

    A sink is left out where no such rows come, or where a row might have any field.
    """
    flows = arriving(graph, plugins, headers)
    found: dict[str, tuple[str, ...]] = {}
    for sink in graph.of_kind("sink"):
        ways = _ways(graph, sink, flows, headers)
        possible = [flow.possible for flow in ways if flow.possible is not None]
        if ERROR_FIELDS[-1] not in graph.evidence(sink.id) or not ways or len(possible) < len(ways):
            continue
        unlike = frozenset().union(*possible) - frozenset.intersection(*(flow.certain for flow in ways))
        if unlike:
            found[sink.id] = tuple(sorted(unlike))
    return found


def _ways(
    graph: Graph, sink: Node, flows: Mapping[str, list[Flow]], headers: Headers, seen: frozenset[str] = frozenset()
) -> list[Flow]:
    """What is known of the rows that may come, refused ones too, without the fields that tell why one was refused."""
    ways = list(flows[sink.id])
    for node in graph.nodes:
        if not _refuses_into(node, sink) or node.id in seen:
            continue
        if node.kind == "source":
            header = headers.get(node.id)
            order = tuple(header) if header is not None else None
            names = frozenset(order or ())
            ways.append(Flow(names, names if order is not None else None, (node.id,), order))
        elif node.kind == "sink":
            ways += _ways(graph, node, flows, headers, seen | {sink.id})
        else:
            ways += flows[node.id]
    return ways


def _refuses_into(node: Node, sink: Node) -> bool:
    return node.on_error is not None and node.on_error.node == sink.id
