"""Settings become the graph, or one error that names everything that is wrong with their wiring."""

from __future__ import annotations

from typing import Any

from elspeth.graph.decisions import check_circles, check_decisions, forks_behind
from elspeth.graph.model import DISCARD, Edge, Graph, Node, Target
from elspeth.graph.order import stage_after, topological
from elspeth.graph.steps import ORDERED_TRANSFORMS, Step
from elspeth.graph.wiring import Wire, Wiring, wire_up
from elspeth.schema import RowSchema
from elspeth.settings.model import Aggregation, Coalesce, Gate, Settings, Sink, Source, Transform
from elspeth.settings.problems import Positions, Problem, SettingsProblems


def build(settings: Settings, positions: Positions | None = None, warnings: list[Problem] | None = None) -> Graph:
    """The graph that these settings describe.

    Every source and step gets a node named after it, every way out an edge. What is only to be known is added to
    `warnings`. Raises `SettingsProblems` with all problems of the wiring, each with its key and, through `positions`,
    its line.
    """
    wiring = wire_up(settings, positions or Positions())
    check_decisions(wiring)
    check_circles(wiring)
    schemas = _schemas(wiring)
    forks = {} if wiring.problems else _joins(wiring)
    if warnings is not None:
        warnings += wiring.warnings
    if wiring.problems:
        raise SettingsProblems(wiring.problems)
    return _graph(wiring, schemas, forks)


_WITH_INPUT = ("transform", "aggregation")
"""Steps whose options may say `required_input_fields`: the same as `required_fields`."""


def _schemas(wiring: Wiring) -> dict[str, RowSchema]:
    """The normalised schema of every step that states one."""
    schemas: dict[str, RowSchema] = {}
    for step in wiring.steps:
        if not isinstance(step.section, Source | Transform | Aggregation | Sink):
            continue
        try:
            schema = RowSchema.parse(step.section.options.get("schema"))
        except ValueError as error:
            place = step.at("options", "schema")
            if wiring.positions.known(place):
                wiring.problem(place, str(error).removeprefix("schema: "))
            continue
        guaranteed = dict.fromkeys((*schema.guaranteed_fields, *step.section.guaranteed_fields))
        also = step.section.options.get("required_input_fields") or () if step.kind in _WITH_INPUT else ()
        required = dict.fromkeys((*schema.required_fields, *step.section.required_fields, *also))
        schema = RowSchema(schema.mode, schema.fields, tuple(guaranteed), tuple(required))
        if schema != RowSchema():
            schemas[step.id] = schema
    return schemas


def _incoming(wiring: Wiring) -> dict[str, list[Wire]]:
    incoming: dict[str, list[Wire]] = {}
    for wire in wiring.wires:
        incoming.setdefault(wire.target, []).append(wire)
    return incoming


def _joins(wiring: Wiring) -> dict[str, set[str]]:
    """For every coalesce the gates whose forks meet there; notes branches that cannot."""
    incoming = _incoming(wiring)
    forks: dict[str, set[str]] = {}
    for step in wiring.steps:
        if step.kind == "coalesce":
            forks[step.id], wrong = forks_behind(step, incoming, wiring)
            for sentence in wrong:
                wiring.problem(step.at("branches"), sentence)
    return forks


def _graph(wiring: Wiring, schemas: dict[str, RowSchema], forks: dict[str, set[str]]) -> Graph:
    wires = wiring.wires
    successors: dict[str, list[str]] = {step.id: [] for step in wiring.steps if step.id not in wiring.apart}
    for wire in wires:
        if wire.target != DISCARD:
            successors[wire.source].append(wire.target)
    order = [
        *topological([step.id for step in wiring.steps if step.kind != "sink"], _without_sinks(wiring, successors)),
        *topological([name for name in successors if wiring.by_id[name].kind == "sink"], successors),
    ]
    stages, stateful = _stages(order, wiring, forks)
    ends = _normal_ends(wiring)
    nodes = tuple(
        _node(wiring.by_id[name], place, stages[name], wires, schemas.get(name), name in ends)
        for place, name in enumerate(order)
    )
    edges = {wire.edge_id: Edge(wire.edge_id, wire.source, wire.target, wire.label, wire.mode) for wire in wires}
    rank = {name: place for place, name in enumerate(order)}
    return Graph(nodes, tuple(sorted(edges.values(), key=lambda edge: rank[edge.from_node])), stateful)


def _without_sinks(wiring: Wiring, successors: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        name: [other for other in others if wiring.by_id[other].kind != "sink"] for name, others in successors.items()
    }


def _stages(order: list[str], wiring: Wiring, forks: dict[str, set[str]]) -> tuple[dict[str, int], tuple[bool, ...]]:
    """The hop of every node, and which hops keep state.

    A coalesce is stateless where all its branches arrive while the row that was forked is still being decided on: if
    everything from the forks to it happens in one stateless hop.
    """
    before: dict[str, set[str]] = {name: set() for name in order}
    for wire in wiring.wires:
        if wire.target != DISCARD and wire.mode != "divert":
            before[wire.target].add(wire.source)
    stages: dict[str, int] = {}
    for name in order:
        step = wiring.by_id[name]
        if step.kind == "sink":
            continue
        behind = [stages[other] for other in before[name]]
        keeps_state = step.kind == "aggregation" or (step.kind == "transform" and step.plugin in ORDERED_TRANSFORMS)
        if step.kind == "coalesce":
            together = {*behind, *(stages[gate] for gate in forks[name])}
            keeps_state = len(together) > 1 or max(together) % 2 == 1
        stages[name] = stage_after(behind, stateful=keeps_state)
    count = max(stages.values(), default=0) + 1
    for name in order:
        stages.setdefault(name, count)
    return stages, tuple(stage % 2 == 1 for stage in range(count))


def _normal_ends(wiring: Wiring) -> set[str]:
    """The sinks in which the normal way ends: the default sink, else those that steps name in `on_success`."""
    if wiring.settings.default_sink is not None:
        return {wiring.settings.default_sink}
    return {wire.target for wire in wiring.wires if "on_success" in wire.path[-2:] and wire.mode != "divert"}


def _node(step: Step, place: int, stage: int, wires: list[Wire], schema: RowSchema | None, default: bool) -> Node:
    routes: dict[str, list[Target]] = {}
    on_error: Target | None = None
    for wire in wires:
        if wire.source != step.id:
            continue
        target = Target(wire.target, wire.edge_id, wire.branch)
        if wire.mode == "divert":
            on_error = target
        else:
            routes.setdefault(wire.route, []).append(target)
    section = step.section
    more: dict[str, Any] = {}
    if not isinstance(section, Gate | Coalesce):
        more["options"] = section.options
        more["validate_input"] = section.validate_input
    match section:
        case Sink():
            more["error_fields"] = section.error_fields
        case Transform():
            more["pool_size"] = section.pool_size
        case Gate():
            more["condition"] = section.condition
        case Aggregation():
            more |= {
                "condition": section.trigger.condition,
                "trigger_count": section.trigger.count,
                "trigger_seconds": section.trigger.timeout_seconds,
                "output_mode": section.output_mode,
                "expected_output_count": section.expected_output_count,
            }
        case Coalesce():
            more |= {
                "branches": tuple(section.branches),
                "policy": section.policy,
                "quorum_count": section.quorum_count,
                "timeout_seconds": section.timeout_seconds,
                "merge": section.merge,
                "union_collision_policy": section.union_collision_policy,
                "select_branch": section.select_branch,
            }
    return Node(
        id=step.id,
        kind=step.kind,
        plugin=step.plugin,
        sequence=place,
        stage=stage,
        routes={label: tuple(targets) for label, targets in routes.items()},
        on_error=on_error,
        schema=schema.to_dict() if schema is not None else None,
        default=default and step.kind == "sink",
        **more,
    )
