"""Pictures of a graph: Mermaid for documents, lines and arrows for a terminal."""

from __future__ import annotations

from collections.abc import Mapping

from elspeth.graph.labels import CONTINUE
from elspeth.graph.model import DISCARD, Edge, Graph, Node

_SHAPES = {
    "source": ('(["', '"])'),
    "transform": ('["', '"]'),
    "gate": ('{"', '"}'),
    "aggregation": ('[["', '"]]'),
    "coalesce": ('{{"', '"}}'),
    "sink": ('[("', '")]'),
}


def mermaid(graph: Graph, counts: Mapping[str, int] | None = None) -> str:
    """The graph as a Mermaid flowchart. `counts`: rows that took each edge, by edge id; those left out took none."""
    ids = {node.id: f"n{place}" for place, node in enumerate(graph.nodes)} | {DISCARD: DISCARD}
    lines = ["flowchart TD"]
    for node in graph.nodes:
        before, after = _SHAPES[node.kind]
        about = _about(node)
        text = _escaped(node.id) + (f"<br/>{_escaped(about)}" if about else "")
        lines.append(f"    {ids[node.id]}{before}{text}{after}")
    if any(edge.to_node == DISCARD for edge in graph.edges):
        lines.append(f'    {DISCARD}(("{DISCARD}"))')
    for edge in graph.edges:
        arrow = "-.->" if edge.mode == "divert" else "-->"
        words = [] if edge.label == CONTINUE else [_escaped(edge.label)]
        if counts is not None:
            words.append(f"{counts.get(edge.edge_id, 0):,}")
        label = f'|"{" · ".join(words)}"|' if words else ""
        lines.append(f"    {ids[edge.from_node]} {arrow}{label} {ids[edge.to_node]}")
    return "\n".join(lines) + "\n"


def text(graph: Graph, counts: Mapping[str, int] | None = None, width: int = 80) -> str:
    """The graph for a terminal of `width` columns: each step with its ways out, from the sources down.

    A step that leads to the one below it alone is joined to it by a line; every other way names where it leads.
    """
    leaving: dict[str, list[Edge]] = {node.id: [] for node in graph.nodes}
    for edge in graph.edges:
        leaving[edge.from_node].append(edge)
    shown = [node for node in graph.nodes if node.kind != "sink" or leaving[node.id]]
    plugins = {node.id: node.plugin for node in graph.nodes if node.kind == "sink"}
    lines: list[str] = []
    for place, node in enumerate(shown):
        below = shown[place + 1].id if place + 1 < len(shown) else None
        lines.append(_cut(f"{node.id}  {_about(node)}".rstrip(), width))
        edges = sorted(leaving[node.id], key=lambda edge: edge.mode == "divert")
        down = edges[0] if edges and edges[0].label == CONTINUE and edges[0].to_node == below else None
        ways = [edge for edge in edges if edge is not down]
        longest = max((len(_label(edge)) for edge in ways), default=0)
        for number, edge in enumerate(ways, 1):
            corner = "├" if number < len(ways) or down else "└"
            said = _label(edge)
            label = (f" {said} " if said else "").ljust(longest + 2, "─") if longest else ""
            where = f"{edge.to_node} ({plugins[edge.to_node]})" if edge.to_node in plugins else edge.to_node
            lines.append(_counted(f"  {corner}─{label}─> {where}", edge, counts, width))
        if down is not None:
            lines.append(_counted("  │", down, counts, width))
        elif below is not None:
            lines.append("")
    return "\n".join(lines) + "\n"


def _about(node: Node) -> str:
    match node.kind:
        case "gate":
            return node.condition or ""
        case "coalesce":
            return f"{', '.join(node.branches)}: {node.policy}, {node.merge}"
        case "aggregation":
            marks = [
                f"every {node.trigger_count:,} rows" if node.trigger_count else "",
                f"after {node.trigger_seconds:g} s" if node.trigger_seconds else "",
                f"when {node.condition}" if node.condition else "",
            ]
            return ", ".join(filter(None, (node.plugin, *marks)))
        case _:
            return node.plugin if node.plugin != node.id else ""


def _label(edge: Edge) -> str:
    return "" if edge.label == CONTINUE else edge.label


def _counted(line: str, edge: Edge, counts: Mapping[str, int] | None, width: int) -> str:
    if counts is None:
        return _cut(line, width)
    digits = max((len(f"{count:,}") for count in counts.values()), default=1)
    count = f"{counts.get(edge.edge_id, 0):>{digits},}"
    room = width - len(count) - 1
    return f"{_cut(line, room):<{min(room, 48)}} {count}"


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(width - 1, 0)] + "…"


def _escaped(words: str) -> str:
    for sign, code in (("#", "#35;"), ('"', "#quot;"), ("<", "#lt;"), (">", "#gt;"), ("\n", " ")):
        words = words.replace(sign, code)
    return words
