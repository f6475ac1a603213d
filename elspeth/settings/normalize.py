"""One shape for a document: what may stand beside `options` or inside is brought to its one place."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elspeth.settings.model import Settings
from elspeth.settings.problems import KeyPath, Positions, Problem, shown

_COMMON = ("validate_input", "required_fields", "guaranteed_fields")
BESIDE = {
    "source": ("on_validation_failure", *_COMMON),
    "sources": ("on_validation_failure", *_COMMON),
    "transforms": ("on_error", "pool_size", *_COMMON),
    "aggregations": ("on_error", *_COMMON),
    "sinks": ("on_write_failure", *_COMMON),
}
"""Keys that belong to the step, wherever they stand: Elspeth acts on them."""

INSIDE = {
    "source": ("schema",),
    "sources": ("schema",),
    "transforms": ("schema", "required_input_fields"),
    "aggregations": ("schema", "required_input_fields"),
    "sinks": ("schema", "collision_policy", "headers"),
}
"""Keys that belong to the plugin's options, wherever they stand: the plugin acts on them."""


def steps(data: dict[str, Any]) -> Iterator[tuple[KeyPath, dict[str, Any]]]:
    """Every step that has a plugin, with its path. What is not shaped like one is left out."""
    if isinstance(data.get("source"), dict):
        yield ("source",), data["source"]
    for section in ("sources", "transforms", "aggregations", "sinks"):
        held = data.get(section)
        items: Any = held.items() if isinstance(held, dict) else enumerate(held) if isinstance(held, list) else ()
        for key, step in items:
            if isinstance(step, dict):
                yield (section, key), step


def canonical(path: KeyPath) -> KeyPath:
    """The path at which a key stands after `normalise`."""
    if not path or path[0] not in BESIDE:
        return path
    depth = 1 if path[0] == "source" else 2
    section = str(path[0])
    if path[depth : depth + 1] == ("options",) and path[depth + 1 : depth + 2] and path[depth + 1] in BESIDE[section]:
        return path[:depth] + path[depth + 1 :]
    if path[depth : depth + 1] and path[depth] in INSIDE[section]:
        return (*path[:depth], "options", *path[depth:])
    return path


def normalise(data: dict[str, Any], positions: Positions, lines: dict[KeyPath, int]) -> list[Problem]:
    """Bring `data` into shape, in place. A key given in both places, with two values, is a problem.

    `lines` is extended, so that a key that was moved is still found on its line. Empty sections are taken out.
    """
    for section in [key for key, value in data.items() if value is None and key in Settings.model_fields]:
        del data[section]
    problems = []
    for path, step in steps(data):
        if step.get("options", {}) is None:
            step["options"] = {}
        options = step.setdefault("options", {})
        if not isinstance(options, dict):
            continue
        for key in BESIDE[str(path[0])]:
            if key in options:
                value = options.pop(key)
                problems += _place(step, key, value, (*path, "options", key), (*path, key), positions)
                follow(lines, (*path, "options", key), (*path, key))
        for key in INSIDE[str(path[0])]:
            if key in step:
                value = step.pop(key)
                problems += _place(options, key, value, (*path, key), (*path, "options", key), positions)
                follow(lines, (*path, key), (*path, "options", key))
        if path[0] == "sources" and step.get("plugin") == "csv" and "columns" not in options:
            options.setdefault("normalize_fields", True)  # what files of this form rest on
        if not options:
            del step["options"]
    return problems


def _place(
    holder: dict[str, Any], key: str, value: Any, old: KeyPath, new: KeyPath, positions: Positions
) -> list[Problem]:
    if key not in holder:
        holder[key] = value
        return []
    if holder[key] == value:
        return []
    line = positions.line(new)
    return [positions.problem(old, "stands beside `options` and inside, with two values", found=shown(value),
                              allowed=f"one of the two (the other is in line {line})")]  # fmt: skip


def follow(lines: dict[KeyPath, int], old: KeyPath, new: KeyPath) -> None:
    """Let what stands at `old`, and below it, be found under `new` too."""
    for path in [path for path in lines if path[: len(old)] == old]:
        lines.setdefault(new + path[len(old) :], lines[path])
