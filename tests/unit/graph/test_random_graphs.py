"""Any pipeline that is wired correctly compiles to a graph that can run; any other is refused in words."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.graph.build import build
from elspeth.graph.model import DISCARD, Graph
from elspeth.graph.picture import mermaid, text
from elspeth.settings.model import Settings
from elspeth.settings.problems import SettingsProblems


@dataclass
class Draft:
    """A pipeline under construction: settings with named connections, and the connections that nobody takes yet."""

    data: st.DataObject
    document: dict[str, Any] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)
    waits: set[str] = field(default_factory=set)  # coalesces whose branches pass an aggregation
    number: int = 0

    def name(self, kind: str) -> str:
        self.number += 1
        return f"{kind}{self.number}"

    def pick(self, *choices: Any) -> Any:
        return self.data.draw(st.sampled_from(choices))

    def take(self) -> str:
        return self.open.pop(self.data.draw(st.integers(0, len(self.open) - 1)))

    def add(self, section: str, step: dict[str, Any]) -> None:
        self.document.setdefault(section, []).append(step)

    def step(self, source: str, section: str) -> str:
        """A transform or aggregation that takes `source`; the connection behind it."""
        target = self.name("c")
        passthrough = {"output_mode": "passthrough"} if section == "aggregations" else {}
        self.add(section, {"name": self.name("s"), "plugin": "p", "input": source, "on_success": target, **passthrough})
        return target

    def gate(self, source: str) -> None:
        target, other = self.name("c"), self.name("c")
        routes = {"a": target, "b": self.pick(DISCARD, target, "continue"), "c": "continue"}
        self.add("gates", {"name": self.name("g"), "input": source, "condition": "row['k']", "routes": routes,
                           "on_success": other})  # fmt: skip
        self.open += [target, other]

    def fork(self, source: str, *, aggregate: bool, depth: int = 0) -> tuple[str, bool]:
        """Two to four branches with steps and forks inside; they meet, but for at most one that goes its own way.

        Returns the connection behind, and whether rows wait for others on the way.
        """
        branches = {self.name("b"): "" for _ in range(self.pick(2, 3, 4))}
        self.add("gates", {"name": self.name("g"), "input": source, "condition": "True", "routes": {"true": "fork"},
                           "fork_to": list(branches)})  # fmt: skip
        stray = next(iter(branches)) if len(branches) > 2 and self.pick(True, False) else None
        waits = False
        for branch in branches:
            branches[branch] = branch
            for _ in range(self.pick(0, 1, 2)):
                what = self.pick("transforms", "aggregations" if aggregate else "transforms", "fork")
                if what == "fork" and depth < 2:
                    branches[branch], waited = self.fork(branches[branch], aggregate=aggregate, depth=depth + 1)
                else:
                    section = "transforms" if what == "fork" else what
                    branches[branch], waited = self.step(branches[branch], section), section == "aggregations"
                waits = waits or (waited and branch != stray)
        if stray is not None:
            self.open.append(self.step(branches.pop(stray), "transforms"))
        merge, target = self.name("m"), self.name("c")
        self.add("coalesce", {"name": merge, "branches": branches, "on_success": target})
        if waits:
            self.waits.add(merge)
        return target, waits


@st.composite
def pipelines(draw: st.DrawFn) -> Draft:
    draft = Draft(draw(st.data()))
    sources = [draft.name("source") for _ in range(draft.pick(1, 2, 3))]
    draft.document["sources"] = {}
    for source in sources:
        target = draft.pick("shared", draft.name("c"))
        draft.document["sources"][source] = {"plugin": "p", "on_success": target}
        if target not in draft.open:
            draft.open.append(target)
    for _ in range(draw(st.integers(0, 8))):
        source = draft.take()
        match draft.pick("transform", "aggregation", "gate", "fork", "fork and wait"):
            case "transform":
                draft.open.append(draft.step(source, "transforms"))
            case "aggregation":
                draft.open.append(draft.step(source, "aggregations"))
            case "gate":
                draft.gate(source)
            case "fork":
                draft.open.append(draft.fork(source, aggregate=False)[0])
            case "fork and wait":
                draft.open.append(draft.fork(source, aggregate=True)[0])
    ends = {name: {"plugin": "p", "on_write_failure": DISCARD} for name in draft.open}
    draft.document["sinks"] = ends
    for section in ("transforms", "aggregations", "gates", "coalesce"):
        steps = draft.document.get(section, [])
        draft.document[section] = draw(st.permutations(steps))
    return draft


def check_graph(graph: Graph, waits: set[str]) -> None:
    nodes = {node.id: node for node in graph.nodes}
    kinds = [node.kind for node in graph.nodes]
    assert [node.sequence for node in graph.nodes] == list(range(len(nodes)))
    assert sorted(kinds, key=lambda kind: (kind != "source", kind == "sink")) == kinds

    assert graph.stateful == tuple(stage % 2 == 1 for stage in range(len(graph.stateful)))
    used = {node.stage for node in graph.nodes if node.kind != "sink"}
    assert max(used) == len(graph.stateful) - 1
    edges = {edge.edge_id: edge for edge in graph.edges}
    assert len(edges) == len(graph.edges)
    for edge in graph.edges:
        if edge.to_node != DISCARD:
            assert nodes[edge.from_node].sequence < nodes[edge.to_node].sequence
            assert nodes[edge.from_node].stage <= nodes[edge.to_node].stage

    reached = {node.id for node in graph.of_kind("source")}
    for node in graph.nodes:
        assert node.id in reached
        if node.kind == "sink":
            assert not node.routes
            assert node.stage == len(graph.stateful)
            continue
        assert (node.stage % 2 == 1) == (node.kind == "aggregation" or node.id in waits)
        assert node.routes
        for label, targets in node.routes.items():
            assert targets
            for target in targets:
                edge = edges[target.edge]
                assert (edge.from_node, edge.to_node) == (node.id, target.node)
                assert edge.mode == ("copy" if target.branch else "move")
                assert edge.label == (target.branch or label)
                reached.add(target.node)


@settings(max_examples=150)
@given(pipelines())
def test_every_path_of_a_correct_pipeline_ends_and_its_hops_alternate(draft: Draft) -> None:
    graph = build(Settings.model_validate(draft.document))
    check_graph(graph, draft.waits)
    assert all(node.id in text(graph) and node.id in mermaid(graph) for node in graph.nodes)


@settings(max_examples=150)
@given(pipelines(), st.data())
def test_a_damaged_pipeline_is_refused_in_words_or_still_correct(draft: Draft, data: st.DataObject) -> None:
    document = copy.deepcopy(draft.document)
    sections = [section for section in ("transforms", "aggregations", "gates", "coalesce") if document[section]]
    for _ in range(data.draw(st.integers(1, 3))):
        if not sections:
            break
        step = data.draw(st.sampled_from(document[data.draw(st.sampled_from(sections))]))
        names = [f"c{n}" for n in range(draft.number)] + [
            "shared",
            "s3",
            "s5",
            "g4",
            DISCARD,
            "fork",
            "continue",
            "nowhere",
        ]
        key = data.draw(st.sampled_from(sorted(step.keys() & {"name", "input", "on_success"})))
        if key != "name" and data.draw(st.booleans()):
            del step[key]
        else:
            step[key] = data.draw(st.sampled_from(names))
    try:
        graph = build(Settings.model_validate(document))
    except SettingsProblems:
        return
    check_shape(graph)


def check_shape(graph: Graph) -> None:
    """What holds for every graph, whatever it was made of."""
    nodes = {node.id: node for node in graph.nodes}
    for edge in graph.edges:
        if edge.to_node != DISCARD:
            assert nodes[edge.from_node].sequence < nodes[edge.to_node].sequence
    reached = {target.node for node in graph.nodes for targets in node.routes.values() for target in targets}
    assert all(node.kind == "source" or node.id in reached for node in graph.nodes)
    assert all(node.routes for node in graph.nodes if node.kind != "sink")
