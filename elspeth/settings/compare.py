"""Which settings can change results, whether two documents agree on them, and what may be set anew on resume."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from elspeth import canonical
from elspeth.errors import SettingsError
from elspeth.settings.check import check
from elspeth.settings.document import scalar
from elspeth.settings.model import Settings
from elspeth.settings.problems import KeyPath, Positions, SettingsProblems, suggest

CHANGEABLE = ("concurrency", "supervisor", "checkpoint", "retry", "rate_limit")
"""Sections that say how a run is driven; none of them can change what it writes."""

SECRETS = "secrets"
"""The key under which a stored document lists its credentials: path, reference, fingerprint."""

_WITHOUT_EFFECT_ON_RESULTS = (*CHANGEABLE, "telemetry", "payload_store", "name", "description", SECRETS)


def result_settings(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a document that can change results, with every default filled in.

    Two documents that mean the same pipeline give equal values, however they are spelt. Credentials count by the name
    of their variable, not by value: a password may change between two attempts.
    """
    try:
        settings = Settings.model_validate({key: value for key, value in document.items() if key != SECRETS})
    except ValidationError as error:
        raise SettingsError(
            "The stored settings do not fit this version of Elspeth",
            details=[str(item["loc"]) for item in error.errors(include_input=False)],
            next_step="Resume with the version that started the run; `elspeth status RUN_ID` names it.",
        ) from None
    result = settings.model_dump(mode="json", exclude=set(_WITHOUT_EFFECT_ON_RESULTS))
    result["landscape"] = {"export": result["landscape"]["export"]}
    return result


def settings_hash(document: dict[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of `result_settings`."""
    return canonical.sha256(result_settings(document))


def difference(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The dotted keys at which two documents differ in what can change results, in order; empty if they agree."""
    return sorted(_differing("", result_settings(one), result_settings(other)))


def _differing(key: str, one: Any, other: Any) -> list[str]:
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(name, one.get(name), other.get(name)) for name in {**one, **other}]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(str(index), *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other and isinstance(one, bool) == isinstance(other, bool) else [key]
    return [found for name, *pair in pairs for found in _differing(f"{key}.{name}" if key else name, *pair)]


def apply_set(document: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A copy of a stored document with `SECTION.KEY=VALUE` set; values are read as YAML scalars.

    Only sections of `CHANGEABLE` may be set. Raises `SettingsError` that names what is allowed.
    """
    result = copy.deepcopy(document)
    origins: dict[KeyPath, str] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        path = tuple(name.strip().split("."))
        section = path[0]
        if not equals or len(path) < 2 or section not in CHANGEABLE:
            guess = suggest(section, CHANGEABLE)
            raise SettingsError(
                f"--set {name} cannot be set on a run that was started",
                details=[f"allowed: {', '.join(f'{each}.KEY=VALUE' for each in CHANGEABLE)}"]
                + ([f"did you mean {guess}?"] if guess and guess != section else []),
                next_step="Other settings can change results; for those, start a new run.",
            )
        holder = result.setdefault(section, {})
        for part in path[1:-1]:
            if not isinstance(holder.setdefault(part, {}), dict):
                raise SettingsError(f"--set {name}: {part} holds no further keys")
            holder = holder[part]
        holder[path[-1]] = scalar(text)
        origins[path] = f"--set {name}"
    body = {key: value for key, value in result.items() if key != SECRETS}
    _, problems = check(body, Positions("stored settings", origins=origins), {})
    if problems:
        raise SettingsProblems(problems, next_step="Set something else, or leave it as it was when the run started.")
    return result
