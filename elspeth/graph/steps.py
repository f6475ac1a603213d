"""Settings read as one list of steps, each with the id its node will have and the ways out it asks for."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from elspeth.errors import ElspethError, SettingsError
from elspeth.graph.labels import CONTINUE, ERROR, FORK
from elspeth.graph.model import DISCARD, NodeKind
from elspeth.plugins import registry
from elspeth.plugins.contract import Transform as TransformPlugin
from elspeth.settings.model import Aggregation, Coalesce, Gate, Settings, Sink, Source, Transform
from elspeth.settings.problems import KeyPath

Section = Source | Transform | Gate | Aggregation | Coalesce | Sink


ORDERED_TRANSFORMS = frozenset({"deduplicate"})
"""Transforms that look across rows: one process takes all of them, in order, and keeps their state."""


@dataclass(frozen=True, slots=True)
class Step:
    """A section of the settings that becomes a node. `path` is where it stands in the file."""

    id: str
    kind: NodeKind
    plugin: str
    path: KeyPath
    section: Section

    @property
    def input(self) -> str | None:
        """The connection the step names as its input."""
        return getattr(self.section, "input", None)

    @property
    def on_success(self) -> str | tuple[str, ...] | None:
        """Where the step says its normal way leads: to one place, or to each of several."""
        return getattr(self.section, "on_success", None)

    def at(self, *keys: str | int) -> KeyPath:
        """The path of a key inside the step."""
        return (*self.path, *keys)


@dataclass(frozen=True, slots=True)
class Exit:
    """One way out as the settings ask for it. `target` None: to whatever comes next.

    One of several that a row takes at once has a `branch`: the name that `fork_to` gives it, or its target's.
    """

    step: Step
    route: str
    target: str | None
    path: KeyPath
    branch: str | None = None


def steps_of(settings: Settings) -> list[Step]:
    """Every step, in the order in which steps follow one another where nothing else is said: sources first, sinks last.

    A step without a name is called after its plugin, with a number: the first unnamed `passthrough` is `passthrough_1`.
    """
    taken = {
        *settings.named_sources(),
        *settings.sinks,
        *(transform.name for transform in settings.transforms if transform.name),
        *(aggregation.name for aggregation in settings.aggregations),
        *(gate.name for gate in settings.gates),
        *(coalesce.name for coalesce in settings.coalesce),
    }
    steps = [
        Step(name, "source", source.plugin, ("source",) if settings.source else ("sources", name), source)
        for name, source in settings.named_sources().items()
    ]
    for index, transform in enumerate(settings.transforms):
        name = transform.name or _free_name(transform.plugin, taken)
        steps.append(Step(name, "transform", transform.plugin, ("transforms", index), transform))
    for index, aggregation in enumerate(settings.aggregations):
        steps.append(
            Step(aggregation.name, "aggregation", aggregation.plugin, ("aggregations", index), aggregation),
        )
    for index, gate in enumerate(settings.gates):
        steps.append(Step(gate.name, "gate", "gate", ("gates", index), gate))
    for index, coalesce in enumerate(settings.coalesce):
        steps.append(Step(coalesce.name, "coalesce", "coalesce", ("coalesce", index), coalesce))
    for name, sink in settings.sinks.items():
        steps.append(Step(name, "sink", sink.plugin, ("sinks", name), sink))
    return steps


def _free_name(plugin: str, taken: set[str]) -> str:
    number = 1
    while f"{plugin}_{number}" in taken:
        number += 1
    taken.add(f"{plugin}_{number}")
    return f"{plugin}_{number}"


def exits_of(step: Step) -> Iterable[Exit]:
    """The ways out of a step, in the order of the file; of a sink there are none."""
    if step.kind == "sink":
        return
    if not isinstance(step.section, Gate):
        yield from _fanned(step, CONTINUE, step.on_success, step.at("on_success"))
        for name, aside in side_outputs(step).items():
            yield Exit(step, name, aside, step.at("options", name))
        return
    for label, target in step.section.routes.items():
        if target == CONTINUE:
            path = step.at("on_success") if step.on_success else step.at("routes", label)
            yield from _fanned(step, label, step.on_success, path)
        elif target == FORK:
            for place, branch in enumerate(step.section.fork_to):
                yield Exit(step, label, branch, step.at("fork_to", place), branch)
        else:
            yield from _fanned(step, label, target, step.at("routes", label))


def _fanned(step: Step, route: str, targets: str | tuple[str, ...] | None, path: KeyPath) -> Iterable[Exit]:
    """The ways out under one route: to one place, or a copy of the row to each of several."""
    if targets is None or isinstance(targets, str):
        yield Exit(step, route, targets, path)
    elif len(targets) == 1:
        yield Exit(step, route, targets[0], (*path, 0))
    else:
        for place, target in enumerate(targets):
            yield Exit(step, route, target, (*path, place), target)


def side_outputs(step: Step) -> Mapping[str, str]:
    """The side outputs of a transform, each with the name of where it leads.

    Raises `SettingsError` where its class cannot say them, or gives one a name that means something else.
    """
    if not isinstance(step.section, Transform):
        return {}
    try:
        plugin = registry.find("transform", step.plugin)
    except ElspethError:  # an unknown plugin is named where plugins are built
        return {}
    if not issubclass(plugin, TransformPlugin):
        return {}
    try:
        found = dict(plugin.side_outputs(step.section.options))
    except Exception as error:
        raise SettingsError(
            f"{step.id}: side_outputs of {step.plugin!r} failed: {type(error).__name__}: {error}",
            next_step="correct the plugin: it is a class method that answers a mapping of names to targets",
        ) from error
    for name in found:
        if name in (CONTINUE, FORK, ERROR, DISCARD):
            raise SettingsError(
                f"{step.id}: {step.plugin!r} has a side output {name!r}, a word with a meaning of its own",
                next_step="give the side output another name in the plugin",
            )
    # An option of another type than text is named where options are checked.
    return {name: target if isinstance(target, str) else DISCARD for name, target in found.items()}


def inputs_of(step: Step) -> Iterable[tuple[str, KeyPath]]:
    """The connections a step takes rows from by name, each with where it says so."""
    if isinstance(step.section, Coalesce):
        for branch, connection in step.section.branches.items():
            yield connection, step.at("branches", branch)
    elif step.input is not None:
        yield step.input, step.at("input")
