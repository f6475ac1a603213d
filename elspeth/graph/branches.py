"""What may stand between a fork and the coalesce where its branches meet: steps out of which a row comes as one row."""

from __future__ import annotations

from collections.abc import Mapping

from elspeth.graph.model import Graph, Node
from elspeth.graph.steps import steps_of
from elspeth.plugins.contract import Transform
from elspeth.settings.model import Settings
from elspeth.settings.problems import Positions, Problem


def check_branches(
    graph: Graph, settings: Settings, plugins: Mapping[str, object], positions: Positions | None = None
) -> list[Problem]:
    """Problems with steps inside branches: a transform that makes several rows of one, a batch that makes new rows.

    Their rows would be several in one branch, or in none, and nobody could say which of them is to be merged.
    """
    places = {step.id: step.path for step in steps_of(settings)}
    positions = positions or Positions()
    before: dict[str, list[tuple[Node, str | None]]] = {}
    for node in graph.nodes:
        for target in (target for targets in node.routes.values() for target in targets):
            before.setdefault(target.node, []).append((node, target.branch))
    problems = []
    reported: set[str] = set()
    for coalesce in graph.of_kind("coalesce"):
        for node in _between(coalesce, before):
            sentence = _multiplies(node, plugins.get(node.id))
            if sentence and node.id not in reported:
                reported.add(node.id)
                message = f"{sentence}, and stands in a branch that {coalesce.id!r} merges; move it behind the coalesce"
                problems.append(positions.problem(places[node.id], message, found=node.plugin))
    return problems


def _between(coalesce: Node, before: Mapping[str, list[tuple[Node, str | None]]]) -> list[Node]:
    """The nodes on the ways from the forks to a coalesce, nearest first."""
    found: dict[str, Node] = {}
    todo = [coalesce]
    while todo:
        for node, branch in before.get(todo.pop().id, ()):
            if branch not in coalesce.branches and node.id not in found:
                found[node.id] = node
                todo.append(node)
    return list(found.values())


def _multiplies(node: Node, plugin: object) -> str | None:
    if isinstance(plugin, Transform) and plugin.creates_rows:
        return "makes several rows of one"
    if node.kind == "aggregation" and node.output_mode == "transform":
        return "makes new rows of a batch (output_mode: transform)"
    return None
