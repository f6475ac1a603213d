"""What gates, forks and coalesces need beside connections: an answer for every route, and branches that do meet."""

from __future__ import annotations

from collections.abc import Iterable

from elspeth.expressions import Expression, ExpressionError, compile_expression
from elspeth.graph.labels import CONTINUE, FORK, route_label
from elspeth.graph.model import DISCARD
from elspeth.graph.order import circles
from elspeth.graph.steps import Step, exits_of
from elspeth.graph.wiring import NO_BRANCHES, Wire, Wiring
from elspeth.settings.model import Aggregation, Coalesce, Gate
from elspeth.settings.problems import KeyPath, suggest


def check_decisions(wiring: Wiring) -> None:
    """Note what is wrong with conditions and routes."""
    for step in wiring.steps:
        _branches(wiring, step)
        if isinstance(step.section, Gate):
            _gate(wiring, step, step.section)
        elif isinstance(step.section, Aggregation) and step.section.trigger.condition is not None:
            _expression(wiring, step.section.trigger.condition, step.at("trigger", "condition"))


def _expression(wiring: Wiring, text: str, path: KeyPath) -> Expression | None:
    try:
        return compile_expression(text)
    except ExpressionError as error:
        wiring.problem(path, str(error))
        return None


def _gate(wiring: Wiring, step: Step, gate: Gate) -> None:
    condition = _expression(wiring, gate.condition, step.at("condition"))
    if not gate.routes:
        wiring.problem(step.at("routes"), "a gate needs routes", allowed=['"true": TARGET', '"false": TARGET'])
    elif condition is not None and condition.outcomes is not None:
        labels = sorted(map(route_label, condition.outcomes))
        for label in labels:
            if label not in gate.routes:
                wiring.problem(step.at("routes"), f'the condition can be {label}, and there is no route "{label}"',
                               found=", ".join(gate.routes), allowed=labels)  # fmt: skip
        for label in gate.routes:
            if label not in labels:
                wiring.warn(step.at("routes", label), f'the condition is never "{label}"', found=label,
                            suggestion=suggest(label, labels))  # fmt: skip
    forks = [label for label, target in gate.routes.items() if target == FORK]
    if forks and not gate.fork_to:
        wiring.problem(step.at("routes", forks[0]), "a fork needs its branches", allowed=["fork_to: [BRANCH, BRANCH]"])
    if gate.fork_to and not forks:
        wiring.problem(
            step.at("fork_to"), "no route of this gate forks", allowed=[f'"{label}": fork' for label in gate.routes]
        )
    if gate.on_success and CONTINUE not in gate.routes.values():
        found = gate.on_success if isinstance(gate.on_success, str) else ", ".join(gate.on_success)
        wiring.problem(step.at("on_success"), "no route of this gate continues", found=found)
    if gate.on_error and "error" in gate.routes:
        wiring.problem(step.at("routes", "error"), "a gate with on_error cannot have a route named error as well")


def _branches(wiring: Wiring, step: Step) -> None:
    """What is wrong with the names of the places to which a copy each goes: `fork_to`, or a list of targets."""
    exits = list(exits_of(step))
    routes = {exit.route for exit in exits if exit.branch is None}
    named = {exit.path: exit.branch for exit in exits if exit.branch is not None}  # several routes may fork alike
    if isinstance(step.section, Gate):
        named |= {step.at("fork_to", place): branch for place, branch in enumerate(step.section.fork_to)}
    seen: set[tuple[KeyPath, str]] = set()
    for path, branch in named.items():
        if (path[:-1], branch) in seen:
            wiring.problem(path, "stands here twice", found=branch)
        seen.add((path[:-1], branch))
        if branch in NO_BRANCHES:
            wiring.problem(path, "is a word with a meaning of its own and cannot be a branch", found=branch)
        elif branch in routes:
            what = "route of this gate" if step.kind == "gate" else "side output of this step"
            wiring.problem(path, f"is the name of a {what} as well", found=branch)


def check_circles(wiring: Wiring) -> None:
    """Note every circle, with the way round; where two steps share a name, nobody can tell who leads to whom."""
    if len(wiring.by_id) < len(wiring.steps):
        return
    successors: dict[str, list[str]] = {step.id: [] for step in wiring.steps}
    for wire in wiring.wires:
        if wire.target != DISCARD:
            successors[wire.source].append(wire.target)
    for circle in circles(successors):
        way = " -> ".join([*circle, circle[0]])
        back = next(wire for wire in wiring.wires if (wire.source, wire.target) == (circle[-1], circle[0]))
        advice = "" if back.mode == "divert" else "; give one of these steps another on_success or input"
        wiring.problem(back.path, f"rows would go round in a circle: {way}{advice}")


def forks_behind(coalesce: Step, incoming: dict[str, list[Wire]], wiring: Wiring) -> tuple[set[str], list[str]]:
    """The gates whose forks meet at a coalesce, and sentences about what else would arrive.

    Goes back from each branch's connection to the forks that make the branch. Coalesces on the way are stepped over:
    what they give out stands in the branch in which their own fork stood.
    """
    section = coalesce.section
    assert isinstance(section, Coalesce)
    forks: set[str] = set()
    wrong: list[str] = []
    for branch, connection in section.branches.items():
        starts = [wire for wire in incoming.get(coalesce.id, ()) if _arrives_at(wire, connection, wiring)]
        found, others = _origins(branch, starts, incoming, wiring)
        forks |= found
        wrong += others
    return forks, wrong


def _arrives_at(wire: Wire, connection: str, wiring: Wiring) -> bool:
    if wire.mode == "divert":
        return False
    asked = [exit for exit in wiring.exits if exit.step.id == wire.source and (exit.branch or exit.route) == wire.label]
    return any(exit.target == connection or (exit.target is None and wire.source == connection) for exit in asked)


def _origins(
    branch: str, starts: Iterable[Wire], incoming: dict[str, list[Wire]], wiring: Wiring
) -> tuple[set[str], list[str]]:
    forks: set[str] = set()
    wrong: list[str] = []
    seen: set[str] = set()
    todo = list(starts)
    while todo:
        wire = todo.pop()
        if wire.branch == branch:
            forks.add(wire.source)
            continue
        if wire.branch is not None:
            wrong.append(f"branch {branch!r} is fed by the branch {wire.branch!r} of {wire.source!r}")
            continue
        step = wiring.by_id[wire.source]
        if step.id in seen:
            continue
        seen.add(step.id)
        if step.kind == "source":
            wrong.append(f"rows that no gate has forked arrive in branch {branch!r}")
        elif step.kind == "coalesce":
            inner, _ = forks_behind(step, incoming, wiring)
            todo += [way for gate in inner for way in incoming.get(gate, ()) if way.mode != "divert"]
        else:
            todo += [way for way in incoming.get(step.id, ()) if way.mode != "divert"]
    return forks, list(dict.fromkeys(wrong))
