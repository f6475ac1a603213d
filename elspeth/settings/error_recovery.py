"""What can still be checked of settings that are wrong, so that one misspelt key does not hide a route to nowhere."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from elspeth.settings.check import at, keys_at, plain
from elspeth.settings.model import Settings
from elspeth.settings.normalize import follow
from elspeth.settings.problems import KeyPath, suggest

_ROUNDS = 4  # a key that is renamed may turn out to hold further errors

_APART_FROM_THE_WIRING = frozenset({
    "name", "description", "landscape", "checkpoint", "concurrency", "cluster", "supervisor", "retry", "payload_store",
    "providers", "rate_limit", "budget", "telemetry", "plugins",
})  # fmt: skip
_STEP_KEYS_APART = frozenset({
    "options", "required_fields", "guaranteed_fields", "validate_input", "pool_size", "trigger", "output_mode",
    "expected_output_count", "policy", "quorum_count", "timeout_seconds", "merge", "union_collision_policy",
    "select_branch",
})  # fmt: skip


def wires(path: KeyPath) -> bool:
    """Whether the value at this path may be about which step comes after which."""
    if path[0] in _APART_FROM_THE_WIRING:
        return False
    depth = _depth(path)
    return len(path) <= depth or path[depth] not in _STEP_KEYS_APART


def remaining(data: dict[str, Any], lines: dict[KeyPath, int], unknown: set[KeyPath]) -> Settings | None:
    """Settings without what is wrong in them, if that leaves the wiring as its author meant it; else None.

    For finding further problems only: a misspelt key counts as the key that was probably meant, and `lines` is extended
    so that this one is found where the misspelt one stands. `unknown` is extended by the paths of what was left out.
    """
    data = plain(data)
    for _ in range(_ROUNDS):
        try:
            settings = Settings.model_validate(data)
        except ValidationError as error:
            errors = error.errors(include_url=False, include_input=False)
        else:
            return settings if (settings.source is None) == bool(settings.sources) else None
        # Misspelt keys first: what is missing may be what they mean.
        misspelt = [error for error in errors if error["type"] == "extra_forbidden"]
        if not all(_mended(data, error, lines, unknown) for error in misspelt or errors):
            return None
    return None


def _mended(data: dict[str, Any], error: ErrorDetails, lines: dict[KeyPath, int], unknown: set[KeyPath]) -> bool:
    path = error["loc"]
    if error["type"] == "extra_forbidden":
        _rename(at(data, path[:-1]), path, lines)
        return True
    if error["type"] == "settings":
        path = (*path, error["ctx"]["key"])
    if path[0] in _APART_FROM_THE_WIRING:
        data.pop(str(path[0]), None)
        unknown.add(path[:1])
        return True
    if wires(path):
        return False
    depth = _depth(path)
    step = at(data, path[:depth])
    for key in ("policy", "quorum_count") if path[depth] == "policy" else (path[depth],):
        step.pop(key, None)
        unknown.add((*path[:depth], key))
    return True


def _depth(path: KeyPath) -> int:
    """How many parts of a path lead to its step."""
    return 1 if path[0] == "source" else 2


def _rename(holder: dict[str, Any], path: KeyPath, lines: dict[KeyPath, int]) -> None:
    value = holder.pop(str(path[-1]))
    guess = suggest(str(path[-1]), keys_at(path[:-1]))
    if guess and guess not in holder:
        holder[guess] = value
        follow(lines, path, (*path[:-1], guess))
