"""What the settings say must happen to a row, worked out step by step with dictionaries and `eval`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.kit.oracle.expressions import Refused, evaluate
from tests.kit.oracle.meanings import BUILT_IN, Meaning
from tests.kit.oracle.reading import CannotRecompute, Row

DISCARD = "discard"


class Step(NamedTuple):
    """A transform or gate: where it takes its rows from and where it sends them."""

    name: str
    plugin: str
    options: dict[str, Any]
    follows: str | None  # the step that comes next, a sink, a connection; None: the default sink
    on_error: str | None
    routes: dict[str, str]
    condition: str


class State(NamedTuple):
    """One step's part in a row's way: what went in, what came out (None: refused), which route was taken."""

    node: str
    given: Row
    returned: Row | None
    label: str | None


class Way(NamedTuple):
    """A row's whole way: the steps, the outcome, the sink (if any), and the row as it arrived there."""

    states: list[State]
    outcome: str
    sink: str | None
    row: Row


class Pipeline:
    """The settings of a pipeline without forks, merges, batches or steps that make rows."""

    def __init__(self, settings: Path, transforms: Mapping[str, Meaning]) -> None:
        """Read the settings; `transforms` gives the meaning of plugins beside those that are built in."""
        self.transforms = {**BUILT_IN, **transforms}
        self.document = yaml.safe_load(settings.read_text(encoding="utf-8"))
        for key in ("aggregations", "coalesce", "queues"):
            if self.document.get(key):
                raise CannotRecompute(key)
        self.sinks: dict[str, dict[str, Any]] = self.document["sinks"]
        self.default: str | None = self.document.get("default_sink")
        alone = self.document.get("source")
        self.sources: dict[str, dict[str, Any]] = (
            {alone.get("name", "source"): alone} if alone else self.document["sources"]
        )
        self.steps: dict[str, Step] = {}
        self.consumers: dict[str, str] = {}
        self.first: str | None = None
        self._wire()

    def _wire(self) -> None:
        listed = [(entry, False) for entry in self.document.get("transforms") or []]
        listed += [(entry, True) for entry in self.document.get("gates") or []]
        names = self._names([entry for entry, _ in listed])
        line = [name for (entry, _), name in zip(listed, names, strict=True) if not entry.get("input")]
        self.first = line[0] if line else None
        self.consumers = {e["input"]: name for (e, _), name in zip(listed, names, strict=True) if e.get("input")}
        for number, ((entry, gate), name) in enumerate(zip(listed, names, strict=True)):
            if entry.get("fork_to"):
                raise CannotRecompute(f"{name} forks")
            follower = name if name in self.consumers else next((n for n in names[number + 1 :] if n in line), None)
            self.steps[name] = Step(
                name,
                "gate" if gate else entry["plugin"],
                entry.get("options") or {},
                entry.get("on_success") or follower,
                setting(entry, "on_error"),
                {label_of(key): value for key, value in (entry.get("routes") or {}).items()},
                entry.get("condition", ""),
            )

    def _names(self, listed: list[dict[str, Any]]) -> list[str]:
        """Steps without a name are called after their plugin, with the first number that is free."""
        taken = {*self.sources, *self.sinks, *(entry["name"] for entry in listed if entry.get("name"))}
        names = []
        for entry in listed:
            name = entry.get("name")
            number = 1
            while name is None or (not entry.get("name") and name in taken):
                name = f"{entry['plugin']}_{number}"
                number += 1
            taken.add(name)
            names.append(name)
        return names

    def way(self, row: Row, source: str) -> Way:
        """Where a valid row of this source goes."""
        states: list[State] = []
        place = self.sources[source].get("on_success") or self.first or self.default
        by_gate = False
        while True:
            place = self.consumers.get(str(place), place or self.default)
            if place == DISCARD:
                return Way(states, "discarded", None, row)
            if place not in self.steps:
                return Way(states, "routed" if by_gate and place != self.default else "completed", place, row)
            step = self.steps[str(place)]
            try:
                label = None
                returned = row
                place = step.follows
                by_gate = step.plugin == "gate"
                if by_gate:
                    label = label_of(evaluate(step.condition, row))
                    if label not in step.routes:
                        raise Refused(f"no route {label}")
                    place = step.follows if step.routes[label] == "continue" else step.routes[label]
                else:
                    returned = self._meaning(step.plugin)(step.options, row)
            except Refused:
                return self.refused(states, step, row)
            states.append(State(step.name, row, returned, label))
            row = returned

    def refused(self, states: list[State], step: Step, row: Row) -> Way:
        """Where a row goes that a step refused, or died of."""
        label = None if step.on_error is None else "error"
        return self.error([*states, State(step.name, row, None, label)], step.on_error, row)

    def error(self, states: list[State], target: str | None, row: Row, otherwise: str = "failed") -> Way:
        """Where a row goes that a step, a source or a sink refused; `otherwise` is the outcome if nobody says."""
        if target is None:
            return Way(states, otherwise, None, row)
        if target == DISCARD:
            return Way(states, "discarded", None, row)
        return Way(states, "quarantined", target, row)

    def _meaning(self, plugin: str) -> Meaning:
        if plugin not in self.transforms:
            raise CannotRecompute(f"transform {plugin}")
        return self.transforms[plugin]


def setting(entry: dict[str, Any], key: str) -> Any:
    """A setting that may stand beside `options` or inside."""
    return entry.get(key, (entry.get("options") or {}).get(key))


def label_of(value: Any) -> str:
    """A value as a route's label, or as text: booleans as the settings file writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)
