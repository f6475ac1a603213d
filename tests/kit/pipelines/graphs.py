"""Pipelines for tests of the graph: YAML in, graph or problems out, lines included."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from elspeth.graph.build import build
from elspeth.graph.model import Graph
from elspeth.settings.model import Settings
from elspeth.settings.problems import Positions, Problem, SettingsProblems


def settings_of(text: str) -> Settings:
    return Settings.model_validate(yaml.safe_load(text))


def positions_of(text: str) -> Positions:
    """The line of every key, by way of the YAML library's own node tree."""
    lines: dict[tuple[str | int, ...], int] = {}

    def walk(node: yaml.Node, path: tuple[str | int, ...]) -> None:
        if isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                lines[(*path, key.value)] = key.start_mark.line + 1
                walk(value, (*path, key.value))
        elif isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*path, index)] = item.start_mark.line + 1
                walk(item, (*path, index))

    walk(yaml.compose(text), ())
    return Positions("pipeline.yaml", lines)


def graph_of(text: str) -> Graph:
    return build(settings_of(text), positions_of(text))


def problems_of(text: str) -> list[Problem]:
    with pytest.raises(SettingsProblems) as caught:
        graph_of(text)
    return list(caught.value.problems)


def edges_of(graph: Graph) -> dict[str, str]:
    """Edge id to the node it leads to."""
    return {edge.edge_id: edge.to_node for edge in graph.edges}


def as_values(graph: Graph) -> dict[str, Any]:
    return {node.id: node for node in graph.nodes}
