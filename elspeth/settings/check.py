"""Plain data becomes `Settings`, or the list of everything that is wrong with it, in words."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from elspeth.settings import secrets
from elspeth.settings.cluster import nobody_works
from elspeth.settings.document import scalar
from elspeth.settings.environment import Expanded
from elspeth.settings.model import Settings
from elspeth.settings.problems import KeyPath, Positions, Problem, dotted, shown, suggest
from elspeth.settings.section import Section

_ALLOWED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text (in quotes, if it looks like something else)",
    "bool_type": "true or false",
    "dict_type": "a mapping (key: value)",
    "model_type": "a mapping (key: value)",
    "model_attributes_type": "a mapping (key: value)",
    "tuple_type": "a list",
    "string_too_short": "a text that is not empty",
    "string_pattern_mismatch": "a name of letters, digits, `_` and `-`, up to 64 of them",
}
_BOUNDS = {"greater_than": "gt", "greater_than_equal": "ge", "less_than": "lt", "less_than_equal": "le"}
_BOUND_WORDS = {"gt": "more than", "ge": "at least", "lt": "less than", "le": "at most"}
_SCALARS = ("int_type", "float_type", "bool_type")


def check(
    data: dict[str, Any], positions: Positions, texts: Mapping[KeyPath, str]
) -> tuple[Settings | None, list[Problem]]:
    """Check a whole document. Problems are in no particular order; there are none if there are settings.

    A value that came from a variable is text; where a number or a truth value is expected it is read as one, and
    `data` is changed accordingly. `texts` holds the same for values that were parsed already: where text is expected,
    the text counts. What only follows from a value that is not known is no problem of its own.
    """
    problems = [*_sources(data, positions), *nobody_works(data, positions)]
    settings, errors = _validated(data)
    if errors and _read_again(data, errors, texts):
        settings, errors = _validated(data)
    problems += [_worded(error, data, positions) for error in errors if all(map(positions.known, _places(error)))]
    return (None if problems else settings), _without_echoes(problems)


def plain(value: Any) -> Any:
    """A deep copy that holds nothing but dicts, lists and exact scalars."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, str) else value


def at(data: Any, path: KeyPath) -> Any:
    """The value at this path. Raises `LookupError` if there is none."""
    for part in path:
        if not isinstance(data, (dict, list)):
            raise LookupError(dotted(path))
        data = data[part]  # type: ignore[index]  # an index of a list, or a key of a mapping, as the paths were made
    return data


def keys_at(path: KeyPath) -> list[str]:
    """The keys that are allowed in the section at this path; empty where plugins decide."""
    section = _section(path)
    return list(section.model_fields) if section is not None else []


def _section(path: KeyPath) -> type[Section] | None:
    section: type[Section] | None = Settings
    inside = False  # in a mapping or list of sections, where one part of the path names the item
    for part in path:
        if inside or section is None:
            inside = False
            continue
        info = section.model_fields.get(str(part))
        section, inside = _held(info.annotation) if info is not None else (None, False)
    return None if inside else section


def _held(annotation: Any) -> tuple[type[Section] | None, bool]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, False
    for argument in get_args(annotation):
        held, _ = _held(argument)
        if held is not None:
            return held, getattr(annotation, "__origin__", None) in (dict, tuple)
    return None, False


def _validated(data: dict[str, Any]) -> tuple[Settings | None, list[ErrorDetails]]:
    try:
        return Settings.model_validate(plain(data)), []
    except ValidationError as error:
        return None, list(_apart(error.errors(include_url=False, include_input=False)))


def _apart(errors: list[ErrorDetails]) -> Iterator[ErrorDetails]:
    """Each error for itself, where a section had to tell of several at once."""
    for error in errors:
        yield error
        for other in error.get("ctx", {}).get("others", ()):
            yield {**error, "ctx": other}


_COMPARED: tuple[KeyPath, ...] = (("rate_limit",), ("providers",))
"""What is held against each other once the whole document is read."""


def _places(error: ErrorDetails) -> tuple[KeyPath, ...]:
    """Where the values stand that an error is about: a whole section, where that has checked how its keys fit."""
    return (error["loc"],) if error["loc"] else _COMPARED


def _read_again(data: dict[str, Any], errors: list[ErrorDetails], texts: Mapping[KeyPath, str]) -> bool:
    changed = False
    for error in errors:
        path = error["loc"]
        if not path or path[-1] == "[key]":
            continue
        value = at(data, path) if error["type"] in (*_SCALARS, "string_type") else None
        if error["type"] in _SCALARS and isinstance(value, Expanded):
            read = scalar(value)
            if not isinstance(read, str):
                at(data, path[:-1])[path[-1]] = read
                changed = True
        elif error["type"] == "string_type" and path in texts:
            at(data, path[:-1])[path[-1]] = texts[path]
            changed = True
    return changed


def _sources(data: Mapping[str, Any], positions: Positions) -> list[Problem]:
    if "source" in data and "sources" in data:
        return [positions.problem(("sources",), "stands beside `source`", allowed="one of the two")]
    if "source" not in data and not data.get("sources") and positions.known(("sources",)):
        guess = suggest("source", [key for key in data if key not in Settings.model_fields])
        if not guess:
            return [positions.problem(("source",), "is missing", allowed="source: {plugin: NAME, options: {...}}")]
    return []


def _worded(error: ErrorDetails, data: dict[str, Any], positions: Positions) -> Problem:
    path, kind, context = error["loc"], error["type"], error.get("ctx", {})
    if kind == "settings":
        at_key = (*path, context["key"]) if context["key"] else path
        return positions.problem(at_key, context["message"], found=context["found"] or _found(data, at_key),
                                 allowed=context["allowed"])  # fmt: skip
    if path and path[-1] == "[key]":
        return positions.problem(path[:-1], "cannot be a name", found=shown(path[-2]), allowed=_ALLOWED.get(kind, ""))
    if kind == "extra_forbidden":
        keys = keys_at(path[:-1])
        return positions.problem(path, "unknown key", allowed=", ".join(keys), suggestion=suggest(str(path[-1]), keys))
    if kind == "missing":
        return positions.problem(path, "is missing")
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", str(context["expected"]))
        value = _text_at(data, path)
        return positions.problem(path, "is none of the values that are possible here", found=_found(data, path),
                                 allowed=", ".join(choices), suggestion=suggest(value, choices))  # fmt: skip
    if kind in _BOUNDS:
        name = _BOUNDS[kind]
        return positions.problem(path, "is out of range", found=_found(data, path),
                                 allowed=f"{_BOUND_WORDS[name]} {context[name]}")  # fmt: skip
    if kind == "too_short":
        return positions.problem(path, "is empty", allowed="at least one")
    allowed = _ALLOWED.get(kind) or error["msg"]
    message = "cannot be used here" if kind.startswith("string_") else "has the wrong type"
    return positions.problem(path, message, found=_found(data, path), allowed=allowed)


def _found(data: dict[str, Any], path: KeyPath) -> str:
    """What stands there, in words. What came from a variable is shown as the variable: it may be a secret."""
    try:
        value = at(data, path)
    except (LookupError, TypeError):
        return ""
    if path and secrets.is_credential(str(path[-1])):
        return "a value that is not shown"
    if isinstance(value, Expanded):
        return f"the value of {value.template}"
    return shown(secrets.without_url_passwords(value) if isinstance(value, str) else value)


def _text_at(data: dict[str, Any], path: KeyPath) -> str:
    value = at(data, path)
    return value if isinstance(value, str) else ""


def _without_echoes(problems: list[Problem]) -> list[Problem]:
    """A misspelt key is one problem, not also a missing one."""
    misspelt = {
        ".".join((*problem.key.split(".")[:-1], problem.suggestion))
        for problem in problems
        if problem.message == "unknown key"
    }
    return [problem for problem in problems if problem.message != "is missing" or problem.key not in misspelt]
