"""Connections between steps: who leads to whom, and everything that is wrong with it, in one go."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from elspeth.graph.labels import CONTINUE, ERROR, FORK
from elspeth.graph.model import DISCARD, EdgeMode
from elspeth.graph.steps import Exit, Step, exits_of, inputs_of, steps_of
from elspeth.settings.model import Settings
from elspeth.settings.problems import KeyPath, Positions, Problem, suggest

RESERVED = (CONTINUE, FORK, DISCARD)
NO_BRANCHES = (*RESERVED, ERROR)
"""Words that cannot be the name of a branch."""

_LINE = ("transform", "aggregation", "gate")
_ERROR_KEYS = {"source": "on_validation_failure", "sink": "on_write_failure"}


@dataclass(frozen=True, slots=True)
class Wire:
    """A resolved way from one node to another, or to `DISCARD`.

    `route` is the label under which the node looks it up, `label` names the recorded edge: the same, but for a fork,
    whose edges are named after their branches.
    """

    source: str
    target: str
    route: str
    label: str
    mode: EdgeMode
    path: KeyPath
    branch: str | None = None

    @property
    def edge_id(self) -> str:
        """The id under which the edge is recorded."""
        return f"{self.source}:{self.label}"


@dataclass(slots=True)
class Wiring:
    """What was made of the settings: wires that could be resolved, and what was wrong with the others.

    `apart` are the sinks that no row reaches: no part of the graph.
    """

    settings: Settings
    positions: Positions
    steps: list[Step] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    apart: set[str] = field(default_factory=set)
    by_id: dict[str, Step] = field(default_factory=dict)
    consumers: dict[str, list[tuple[Step, KeyPath]]] = field(default_factory=dict)
    exits: list[Exit] = field(default_factory=list)

    def problem(
        self, path: KeyPath, message: str, *, found: str = "", allowed: Iterable[str] = (), suggestion: str = ""
    ) -> None:
        """Note one thing to mend."""
        names = ", ".join(allowed)
        self.problems.append(
            self.positions.problem(path, message, found=found, allowed=names, suggestion=suggestion),
        )

    def warn(self, path: KeyPath, message: str, *, found: str = "", suggestion: str = "") -> None:
        """Note one thing to know."""
        self.warnings.append(self.positions.problem(path, message, found=found, suggestion=suggestion))


def wire_up(settings: Settings, positions: Positions) -> Wiring:
    """Resolve every connection. What could not be resolved is in `problems` of the answer."""
    wiring = Wiring(settings, positions, steps_of(settings))
    _names(wiring)
    for step in wiring.steps:
        for connection, path in inputs_of(step):
            wiring.consumers.setdefault(connection, []).append((step, path))
        wiring.exits.extend(exits_of(step))
    _consumers(wiring)
    # The main line first: whether a step fed by name lies before or behind another is known only then.
    exits = sorted(wiring.exits, key=lambda exit: exit.target is None and exit.step.input is not None)
    ends = [exit for exit in exits if not _connect(wiring, exit)]
    _default_sink(wiring, ends)
    places = {(exit.step.id, exit.route, exit.branch): place for place, exit in enumerate(wiring.exits)}
    wiring.wires.sort(key=lambda wire: places[wire.source, wire.route, wire.branch])
    for step in wiring.steps:
        _error_way(wiring, step)
    _set_apart(wiring)
    _reached(wiring)
    _queues(wiring)
    return wiring


def _names(wiring: Wiring) -> None:
    for step in wiring.steps:
        if step.id in RESERVED:
            wiring.problem(step.path, "is a word with a meaning of its own and cannot be a name", found=step.id)
        first = wiring.by_id.setdefault(step.id, step)
        if first is not step:
            where = f"{first.kind} in line {wiring.positions.line(first.path)}"
            wiring.problem(step.path, f"has the name of another step ({where}); names are unique", found=step.id)


def _consumers(wiring: Wiring) -> None:
    for name, takers in wiring.consumers.items():
        path = takers[0][1]
        if name in RESERVED:
            wiring.problem(path, "is a word with a meaning of its own and cannot be a connection", found=name)
        elif name in wiring.settings.sinks:
            wiring.problem(path, "is a sink: rows end there, and no step can take them up", found=name)
        for step, other in takers[1:]:
            wiring.problem(
                other,
                f"{takers[0][0].id!r} takes this connection already; a row goes one way unless a gate forks it"
                + (" (a branch that passes other steps first is written as a mapping: branch: connection)"
                   if "coalesce" in (step.kind, takers[0][0].kind) else ""),
                found=name,
            )  # fmt: skip


def _connect(wiring: Wiring, exit: Exit) -> bool:
    """Connect one way out; False if it is a normal way to the end of the line."""
    target = exit.target
    if target is None:
        following = _following(wiring, exit.step)
        if following is None:
            return False
        _link(wiring, exit, following)
    elif target == DISCARD or target in wiring.settings.sinks:
        _link(wiring, exit, target)
    elif target in wiring.consumers:
        _link(wiring, exit, wiring.consumers[target][0][0].id)
    else:
        _dangling(wiring, exit, target)
    return True


def _following(wiring: Wiring, step: Step) -> str | None:
    """What comes after a step without `on_success`: who names it as `input`, else the next that has no `input`.

    What already leads to the step does not come after it: a step inside a branch goes on behind the gate that forked.
    """
    if step.id in wiring.consumers and not any(exit.target == step.id for exit in wiring.exits):
        return wiring.consumers[step.id][0][0].id
    if step.kind == "coalesce":
        return None
    before = _leading_to(wiring, step.id) if step.input is not None else set()
    place = next(index for index, other in enumerate(wiring.steps) if other is step)
    for other in wiring.steps[place + 1 :]:
        if other.kind in _LINE and other.input is None and other.id not in before:
            return other.id
    return None


def _leading_to(wiring: Wiring, name: str) -> set[str]:
    found: set[str] = set()
    todo = [name]
    while todo:
        target = todo.pop()
        new = {wire.source for wire in wiring.wires if wire.target == target} - found
        found |= new
        todo += new
    return found


def _link(wiring: Wiring, exit: Exit, target: str) -> None:
    fork = exit.branch is not None
    label = exit.branch or exit.route
    wire = Wire(exit.step.id, target, exit.route, label, "copy" if fork else "move", exit.path, exit.branch)
    wiring.wires.append(wire)


def _dangling(wiring: Wiring, exit: Exit, target: str) -> None:
    exist = [*wiring.settings.sinks, *wiring.consumers]
    if exit.branch in NO_BRANCHES:
        return  # which is said where branches are checked
    step = wiring.by_id.get(target)
    if exit.branch is not None:
        message = "nobody takes this branch: no coalesce lists it, no step has it as input, and no sink has its name"
    elif target in (CONTINUE, FORK):
        message = "only a gate's routes can say this"
    elif step is not None and step.kind != "sink":
        message = f"is a step and not a connection: write `input: {target}` in it to connect the two"
    else:
        message = "leads nowhere: there is no such sink, and no step takes this connection"
    wiring.problem(exit.path, message, found=target, allowed=[*exist, DISCARD], suggestion=suggest(target, exist))


def _default_sink(wiring: Wiring, ends: list[Exit]) -> None:
    """Lead what is left to the default sink."""
    name, sinks = wiring.settings.default_sink, wiring.settings.sinks
    if name is not None and name not in sinks:
        wiring.problem(("default_sink",), "there is no such sink", found=name, allowed=sinks,
                       suggestion=suggest(name, sinks))  # fmt: skip
    elif name is None and ends:
        who = ", ".join(dict.fromkeys(repr(exit.step.id) for exit in ends))
        message = f"rows reach the end of {who} and no sink: add `default_sink`, or `on_success` to the step"
        wiring.problem(ends[0].step.path, message, allowed=sinks)
    elif name is not None:
        for exit in ends:
            _link(wiring, exit, name)


def _error_way(wiring: Wiring, step: Step) -> None:
    key = _ERROR_KEYS.get(step.kind, "on_error")
    target: str | None = getattr(step.section, key, None)
    if target is None:
        return
    sinks = [name for name in wiring.settings.sinks if name != step.id]
    if target != DISCARD and target not in sinks:
        message = "a sink cannot take what it refused" if target == step.id else "there is no such sink"
        wiring.problem(step.at(key), message, found=target, allowed=[*sinks, DISCARD],
                       suggestion=suggest(target, [*sinks, DISCARD]))  # fmt: skip
        return
    wiring.wires.append(Wire(step.id, target, ERROR, ERROR, "divert", step.at(key)))


def _set_apart(wiring: Wiring) -> None:
    """Take out sinks that no row reaches, with their ways: one may be all that leads to another."""
    sinks = {step.id for step in wiring.steps if step.kind == "sink"}
    apart = {step.id for step in wiring.steps if takes_the_export(step, wiring)}
    before = None
    while apart != before:
        before = set(apart)
        apart |= sinks - {wire.target for wire in wiring.wires if wire.source not in apart}
    for wire in wiring.wires:
        if wire.source in apart and wire.mode == "divert" and takes_the_export(wiring.by_id[wire.source], wiring):
            wiring.warn(wire.path, "has no effect: an audit record that is refused ends the export", found=wire.target)
    wiring.apart = apart
    wiring.wires = [wire for wire in wiring.wires if wire.source not in apart]


def _reached(wiring: Wiring) -> None:
    """Connections that nobody feeds, steps that no row reaches, sinks that nothing uses."""
    fed = {exit.target for exit in wiring.exits}
    targets = {wire.target for wire in wiring.wires}
    taken = {exit.step.id for exit in wiring.exits if exit.target is None}
    produced = sorted({exit.target for exit in wiring.exits if exit.target} - {DISCARD, *wiring.settings.sinks})
    for name, takers in wiring.consumers.items():
        if name in fed or name in taken or name in wiring.settings.sinks or name in RESERVED:
            continue
        step, path = takers[0]
        if step.kind == "coalesce":
            message = "no fork and no step leads there, so the branches never meet"
        else:
            message = "nothing leads there, so no row reaches this step"
        wiring.problem(path, message, found=name, allowed=produced, suggestion=suggest(name, produced))
    export, sinks = wiring.settings.landscape.export, wiring.settings.sinks
    for step in wiring.steps:
        if takes_the_export(step, wiring) and step.id in targets:
            wiring.problem(("landscape", "export", "sink"), "this sink takes rows, so it cannot take the audit records",
                           found=step.id)  # fmt: skip
        if step.kind == "source" or step.id in targets:
            continue
        if step.kind != "sink":
            if not any(True for _ in inputs_of(step)):
                wiring.problem(step.path, "no row reaches this step: the one before it leads elsewhere", found=step.id)
        elif not takes_the_export(step, wiring):
            also = ", not even as default_sink" if step.id == wiring.settings.default_sink else ""
            wiring.warn(step.path, f"nothing leads to this sink{also}: it is left alone", found=step.id)
    if export.enabled and export.sink is not None and export.sink not in sinks:
        wiring.problem(("landscape", "export", "sink"), "there is no such sink", found=export.sink,
                       allowed=sinks, suggestion=suggest(export.sink, sinks))  # fmt: skip


def takes_the_export(step: Step, wiring: Wiring) -> bool:
    """Whether the step is the sink to which the audit records go when the run ends: no part of the graph."""
    export = wiring.settings.landscape.export
    return step.kind == "sink" and export.enabled and export.sink == step.id


def _queues(wiring: Wiring) -> None:
    for place, name in enumerate(wiring.settings.queues):
        path: KeyPath = ("queues", place)
        if name in RESERVED or name in wiring.settings.sinks:
            wiring.problem(path, "cannot be the name of a queue", found=name)
        elif name not in wiring.consumers and not any(exit.target == name for exit in wiring.exits):
            wiring.problem(path, "no step leads to this queue, and none takes rows from it", found=name,
                           suggestion=suggest(name, wiring.consumers))  # fmt: skip
