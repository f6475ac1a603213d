"""What the settings say must happen to a row, worked out step by step with dictionaries and `eval`."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.checker.reading import CONVERSIONS, CannotRecompute, Row

DISCARD = "discard"
Meaning = Callable[[dict[str, Any], Row], Row]


class Refused(Exception):
    """The step cannot handle this row, which then follows the step's error route."""


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
        single = {"source": self.document["source"]} if "source" in self.document else {}
        self.sources: dict[str, dict[str, Any]] = {**single, **self.document.get("sources", {})}
        self.steps: dict[str, Step] = {}
        self.consumers: dict[str, str] = {}
        self.first: str | None = None
        self._wire()

    def _wire(self) -> None:
        listed = [(entry, False) for entry in self.document.get("transforms") or []]
        listed += [(entry, True) for entry in self.document.get("gates") or []]
        seen: dict[str, int] = {}
        names = []
        for entry, gate in listed:
            plugin = "gate" if gate else entry["plugin"]
            seen[plugin] = seen.get(plugin, 0) + 1
            names.append(entry.get("name") or f"{plugin}_{seen[plugin]}")
        for number, ((entry, gate), name) in enumerate(zip(listed, names, strict=True)):
            if entry.get("fork_to"):
                raise CannotRecompute(f"{name} forks")
            if entry.get("input"):
                self.consumers[entry["input"]] = name
            follower = None
            if number + 1 < len(names) and not listed[number + 1][0].get("input"):
                follower = names[number + 1]
            self.steps[name] = Step(
                name,
                "gate" if gate else entry["plugin"],
                entry.get("options") or {},
                entry.get("on_success") or follower,
                setting(entry, "on_error"),
                {_label(key): value for key, value in (entry.get("routes") or {}).items()},
                entry.get("condition", ""),
            )
        self.first = names[0] if names and not listed[0][0].get("input") else None

    def way(self, row: Row, source: str) -> Way:
        """Where a valid row of this source goes."""
        states: list[State] = []
        place = self.sources[source].get("on_success") or self.first or self.default
        while True:
            place = self.consumers.get(str(place), place)
            if place == DISCARD:
                return Way(states, "discarded", None, row)
            if place is None or place not in self.steps:
                place = place or self.default
                return Way(states, "completed" if place == self.default else "routed", place, row)
            step = self.steps[place]
            try:
                label = None
                returned = row
                if step.plugin == "gate":
                    label = _label(evaluate(step.condition, row))
                    if label not in step.routes:
                        raise Refused(f"no route {label}")
                    place = step.follows if step.routes[label] == "continue" else step.routes[label]
                else:
                    returned = self._meaning(step.plugin)(step.options, row)
                    place = step.follows
            except Refused:
                states.append(State(step.name, row, None, None))
                return self.error(states, step.on_error, row)
            states.append(State(step.name, row, returned, label))
            row = returned
            place = place or self.default

    def _meaning(self, plugin: str) -> Meaning:
        if plugin not in self.transforms:
            raise CannotRecompute(f"transform {plugin}")
        return self.transforms[plugin]

    def error(self, states: list[State], target: str | None, row: Row) -> Way:
        """Where a row goes that a step, a source or a sink refused."""
        if target is None:
            return Way(states, "failed", None, row)
        if target == DISCARD:
            return Way(states, "discarded", None, row)
        return Way(states, "quarantined", target, row)


def setting(entry: dict[str, Any], key: str) -> Any:
    """A setting that may stand beside `options` or inside."""
    return entry.get(key, (entry.get("options") or {}).get(key))


def _label(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_ALLOWED = (
    ast.Expression, ast.Name, ast.Load, ast.Constant, ast.Compare, ast.BoolOp, ast.BinOp, ast.UnaryOp, ast.IfExp,
    ast.Subscript, ast.Call, ast.Attribute, ast.List, ast.Tuple, ast.Set, ast.operator, ast.unaryop, ast.boolop,
    ast.cmpop,
)  # fmt: skip
_compiled: dict[str, Any] = {}


def evaluate(text: str, row: Row) -> Any:
    """The value of a condition or expression for this row."""
    if text not in _compiled:
        tree = ast.parse(text.strip(), mode="eval")
        for node in ast.walk(tree):
            if not isinstance(node, _ALLOWED) or (isinstance(node, ast.Attribute) and node.attr != "get"):
                raise CannotRecompute(f"expression {text}")
        _compiled[text] = compile(tree, "<condition>", "eval")
    try:
        return eval(_compiled[text], {"__builtins__": {}}, {"row": row})
    except (LookupError, TypeError, ArithmeticError, ValueError) as problem:
        raise Refused(str(problem)) from problem


def _reach(row: Row, dotted: str) -> Any:
    value: Any = row
    if dotted in row:
        return row[dotted]
    for key in dotted.split("."):
        if not isinstance(value, dict) or key not in value:
            raise KeyError(dotted)
        value = value[key]
    return value


def _field_mapper(options: dict[str, Any], row: Row) -> Row:
    found = {}
    for old, new in options["mapping"].items():
        try:
            found[old] = (new, _reach(row, old))
        except KeyError as problem:
            if options.get("strict"):
                raise Refused(f"no field {old}") from problem
    if options.get("select_only"):
        return dict(found.values())
    result = {found[key][0] if key in found else key: value for key, value in row.items()}
    result.update({new: value for old, (new, value) in found.items() if old not in row})
    return result


def _value_transform(options: dict[str, Any], row: Row) -> Row:
    result = dict(row)
    for operation in options["operations"]:
        result[operation["target"]] = evaluate(operation["expression"], result)
    return result


def _type_coerce(options: dict[str, Any], row: Row) -> Row:
    result = dict(row)
    for conversion in options["conversions"]:
        field, kind = conversion["field"], conversion["to"]
        if field not in row:
            raise Refused(f"no field {field}")
        if row[field] is None:
            continue
        if kind == "str":
            result[field] = _label(row[field])
            continue
        try:
            result[field] = CONVERSIONS[kind](row[field])
        except (KeyError, ValueError, TypeError) as problem:
            raise Refused(str(problem)) from problem
    return result


def _truncate(options: dict[str, Any], row: Row) -> Row:
    result = dict(row)
    suffix = options.get("suffix", "")
    for name, length in options["fields"].items():
        value = row.get(name)
        if isinstance(value, str) and len(value) > length:
            result[name] = value[: length - len(suffix)] + suffix
    return result


def _keyword_filter(options: dict[str, Any], row: Row) -> Row:
    names = options.get("fields") or list(row)
    names = list(row) if names in ("all", ["all"]) else [names] if isinstance(names, str) else names
    for name in names:
        for pattern in options["blocked_patterns"]:
            if isinstance(row.get(name), str) and re.search(pattern, row[name]):
                raise Refused(f"{name} matches {pattern}")
    return row


BUILT_IN: dict[str, Meaning] = {
    "passthrough": lambda options, row: row,
    "field_mapper": _field_mapper,
    "value_transform": _value_transform,
    "type_coerce": _type_coerce,
    "truncate": _truncate,
    "keyword_filter": _keyword_filter,
}
