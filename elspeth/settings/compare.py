"""Which settings can change results, whether two documents agree on them, and what may be set anew on resume."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

from elspeth import canonical
from elspeth.errors import SettingsError
from elspeth.settings import effective
from elspeth.settings.check import at, check
from elspeth.settings.document import scalar
from elspeth.settings.problems import KeyPath, Positions, SettingsProblems, dotted, suggest

CHANGEABLE = ("concurrency", "supervisor", "checkpoint", "retry", "rate_limit", "budget", "telemetry", "cluster")
"""Sections that say how a run is driven; none of them can change what it writes."""

CLUSTER = "cluster"
"""The section that a document may lack: then there are no workers on other machines."""

SECRETS = "secrets"
"""The key under which a stored document lists its credentials: path, reference, fingerprint."""

DATABASE = ("landscape", "url")
SOMEWHERE = "postgresql:///"
"""What stands for the URL of a database with a password in it, where settings are read that were found in it."""

_WITHOUT_EFFECT_ON_RESULTS = (*CHANGEABLE, "payload_store", "name", "description", SECRETS,
                               effective.FORMAT)  # fmt: skip


def result_settings(document: dict[str, Any]) -> dict[str, Any]:
    """The part of a document that can change results, with the value of every option as it held for that document.

    Two documents that mean the same pipeline give equal values, however they are spelt. Credentials count by the name
    of their variable, not by value: a password may change between two attempts.
    """
    return _of_results(effective.as_stored(document))


def settings_hash(document: dict[str, Any]) -> str:
    """SHA-256 (hex) over the canonical JSON of what can change results, as it stands in the document.

    It is the same in every later version: what a document does not hold has no part in it, the defaults of version
    0.1.0 aside, which hashed them and did not store them.
    """
    if effective.FORMAT not in document:
        document = effective.in_0_1_0(document)
    return canonical.sha256(_of_results(document))


def difference(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """The dotted keys at which two documents differ in what can change results, in order; empty if they agree."""
    return sorted(dotted(path) for path in _differing((), result_settings(one), result_settings(other)))


def changes(stored: dict[str, Any], document: dict[str, Any], positions: Positions) -> list[str]:
    """The dotted keys at which a settings file, read as `document`, says otherwise than a run's stored document.

    An option that stands in neither has the default of each one's time. That a default is another now is no change of
    the file, and the run goes on with the one it was started with.
    """
    written = {dotted(path) for path in (*positions.lines, *positions.origins)}
    filled_in = effective.as_stored(stored)
    return sorted(
        key
        for path in _differing((), _of_results(filled_in), result_settings(document))
        if (key := dotted(path)) in written or _holds(stored, path) or not _holds(filled_in, path)
    )


def _holds(document: Any, path: KeyPath) -> bool:
    try:
        at(document, path)
    except (LookupError, TypeError):
        return False
    return True


def _of_results(document: Mapping[str, Any]) -> dict[str, Any]:
    result = {key: value for key, value in document.items() if key not in _WITHOUT_EFFECT_ON_RESULTS}
    result["landscape"] = {"export": result["landscape"]["export"]}
    result["queues"] = list(result["queues"])  # a list, or what describes each
    result["coalesce"] = [{**each, "branches": _as_mapping(each["branches"])} for each in result["coalesce"]]
    return result


def _as_mapping(branches: Any) -> Any:
    return branches if isinstance(branches, dict) else {name: name for name in branches}


def _differing(path: KeyPath, one: Any, other: Any) -> list[KeyPath]:
    pairs: list[tuple[str | int, Any, Any]]
    if isinstance(one, dict) and isinstance(other, dict):
        pairs = [(name, one.get(name), other.get(name)) for name in {**one, **other}]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(index, *pair) for index, pair in enumerate(zip(one, other, strict=True))]
    else:
        return [] if one == other and isinstance(one, bool) == isinstance(other, bool) else [path]
    return [found for key, *pair in pairs for found in _differing((*path, key), *pair)]


def apply_set(document: dict[str, Any], assignments: Sequence[str]) -> dict[str, Any]:
    """A copy of a stored document with `SECTION.KEY=VALUE` set; values are read as YAML scalars.

    Only sections of `CHANGEABLE` may be set; the one that may be missing is taken out by `cluster=null`. Raises
    `SettingsError` that names what is allowed.
    """
    result = copy.deepcopy(document)
    origins: dict[KeyPath, str] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        path = tuple(name.strip().split("."))
        section = path[0]
        if path == (CLUSTER,) and scalar(text) is None and equals:
            result[CLUSTER] = None
            continue
        if not equals or len(path) < 2 or section not in CHANGEABLE:
            guess = suggest(section, CHANGEABLE)
            raise SettingsError(
                f"--set {name} cannot be set on a run that was started",
                details=[f"allowed: {', '.join(f'{each}.KEY=VALUE' for each in CHANGEABLE)}"]
                + ([f"did you mean {guess}?"] if guess and guess != section else []),
                next_step="Other settings can change results; for those, start a new run.",
            )
        if result.get(section) is None:
            result[section] = {}
        holder = result[section]
        for part in path[1:-1]:
            if holder.get(part) is None:
                holder[part] = {}
            if not isinstance(holder[part], dict):
                raise SettingsError(f"--set {name}: {part} holds no further keys")
            holder = holder[part]
        holder[path[-1]] = scalar(text)
        origins[path] = f"--set {name}"
    body = {key: value for key, value in result.items() if key not in (SECRETS, effective.FORMAT)}
    if any(tuple(entry["path"]) == DATABASE for entry in result.get(SECRETS) or ()):
        body["landscape"] = body["landscape"] | {"url": SOMEWHERE}
    _, problems = check(body, Positions("stored settings", origins=origins), {})
    if problems:
        raise SettingsProblems(problems, next_step="Set something else, or leave it as it was when the run started.")
    return result
