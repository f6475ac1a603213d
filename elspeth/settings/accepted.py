"""Keys of this format that have no effect here: their form is checked, a line says so, and they are taken out.

Nothing behind this module sees them, and no stored document holds them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from elspeth.settings.check import keys_at
from elspeth.settings.document import scalar
from elspeth.settings.environment import Expanded
from elspeth.settings.normalize import steps
from elspeth.settings.problems import KeyPath, Positions, Problem, shown, suggest


class Taken(NamedTuple):
    """What was wrong with such keys, and a line for each that was in order."""

    problems: list[Problem]
    warnings: list[Problem]


class _Form(NamedTuple):
    """What a value may look like, in words and as a test."""

    words: str
    fits: Callable[[Any], bool]


class _Key(NamedTuple):
    form: _Form
    why: str = ""


def _is_names(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) and item for item in value)


def _is_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and bool(value))


_SWITCH = _Form("true or false", lambda value: isinstance(value, bool))
_TEXT = _Form("a text", _is_text)
_NAMES = _Form("a list of field names", _is_names)
_WHOLE = _Form("a whole number from 1", lambda value: type(value) is int and value > 0)
_BOUND = _Form(
    "a whole number or a text", lambda value: value is None or isinstance(value, str) or _WHOLE.fits(value)
)  # fmt: skip
_NOTHING = _Form("nothing, or an empty list", lambda value: value in (None, [], {}))

_KEYS: dict[KeyPath, _Key] = {
    ("replay_from",): _Key(_TEXT, "a live run replays nothing"),
    ("depends_on",): _Key(_NOTHING),
    ("commencement_gates",): _Key(_NOTHING),
    ("collection_probes",): _Key(_NOTHING),
    ("landscape", "enabled"): _Key(_SWITCH, "the audit trail is always kept"),
    ("landscape", "dump_to_jsonl_fail_on_error"): _Key(_SWITCH),
    ("landscape", "dump_to_jsonl_include_payloads"): _Key(_SWITCH),
    ("landscape", "dump_to_jsonl_payload_base_path"): _Key(_TEXT),
    ("landscape", "export", "include_raw_error_rows"): _Key(_SWITCH, "an export holds what is on record"),
    ("rate_limit", "persistence_path"): _Key(_TEXT, "limits are kept with the run"),
    ("checkpoint", "aggregation_boundaries"): _Key(_SWITCH, "open batches are in every checkpoint"),
}
_EXPORT_BOUNDS = re.compile(r"max_\w+|\w+_(?:limit|version)")
_SECRETS = "secrets"
SIGNING = {"unsigned": False, "hmac_sha256": True}


def take_out(data: dict[str, Any], positions: Positions) -> Taken:
    """Take such keys out of a document in its normal shape, in place."""
    taken = Taken([], [])
    _run_mode(data, positions, taken)
    _backend(data, positions, taken)
    _signing(data, positions, taken)
    _secrets(data, positions, taken)
    _services(data)
    for path, key in [*_KEYS.items(), *_bounds(data)]:
        _take(data, path, key, positions, taken)
    for path, _ in steps(data):
        _take(data, (*path, "options", "schema", "audit_fields"), _Key(_NAMES), positions, taken)
    _telemetry(data, positions, taken)
    return taken


def without_effect(data: dict[str, Any]) -> list[KeyPath]:
    """Where keys stand that have no effect, or say what is so anyway."""
    places: list[KeyPath] = [*_KEYS, *(path for path, _ in _bounds(data)), ("landscape", "backend"), (_SECRETS,)]
    places += [(*path, "options", "schema", "audit_fields") for path, _ in steps(data)]
    return [*places, *([("run_mode",)] if data.get("run_mode") == "live" else [])]


def _holder(data: Any, path: KeyPath) -> dict[str, Any] | None:
    """The mapping in which the key at this path stands, if it does."""
    for part in path[:-1]:
        try:
            data = data[part]
        except (LookupError, TypeError):
            return None
    return data if isinstance(data, dict) and path[-1] in data else None


def _value(value: Any) -> Any:
    """What a value means: one that came from a variable is text so far."""
    return scalar(value) if isinstance(value, Expanded) else value


def _fits(value: Any, form: _Form, path: KeyPath, positions: Positions, taken: Taken) -> bool:
    if form.fits(_value(value)):
        return True
    found = f"the value of {value.template}" if isinstance(value, Expanded) else shown(value)
    taken.problems.append(positions.problem(path, "has no effect here, and cannot be read", found=found,
                                            allowed=form.words))  # fmt: skip
    return False


def _note(path: KeyPath, why: str, positions: Positions, taken: Taken) -> None:
    taken.warnings.append(positions.problem(path, f"has no effect{f': {why}' if why else ''}"))


def _take(data: dict[str, Any], path: KeyPath, key: _Key, positions: Positions, taken: Taken) -> None:
    holder = _holder(data, path)
    if holder is None:
        return
    value = holder.pop(str(path[-1]))
    if _fits(value, key.form, path, positions, taken):
        _note(path, key.why, positions, taken)


def _bounds(data: dict[str, Any]) -> Iterator[tuple[KeyPath, _Key]]:
    export = (_holder(data, ("landscape", "export")) or {}).get("export")
    for name in list(export) if isinstance(export, dict) else ():
        if _EXPORT_BOUNDS.fullmatch(name):
            yield ("landscape", "export", name), _Key(_BOUND)


def _run_mode(data: dict[str, Any], positions: Positions, taken: Taken) -> None:
    mode = data.pop("run_mode", "live")
    if mode != "live":
        data.pop("replay_from", None)
        taken.problems.append(positions.problem(
            ("run_mode",), "a pipeline file runs live; a recorded run is decided again and compared by "
            "`elspeth replay`, and its evidence is recomputed by `elspeth verify`",
            found=shown(mode), allowed="live",
        ))  # fmt: skip


def _backend(data: dict[str, Any], positions: Positions, taken: Taken) -> None:
    path = ("landscape", "backend")
    holder = _holder(data, path)
    if holder is None:
        return
    backend, url = holder.pop("backend"), holder.get("url")
    scheme = url.partition(":")[0].partition("+")[0] if isinstance(url, str) else "sqlite"
    if {"postgres": "postgresql"}.get(str(backend), backend) != {"postgres": "postgresql"}.get(scheme, scheme):
        message = "does not agree with landscape.url, which says where the audit database is"
        taken.problems.append(positions.problem(path, message, found=shown(backend), allowed=scheme))


def _signing(data: dict[str, Any], positions: Positions, taken: Taken) -> None:
    path = ("landscape", "export", "signing_mode")
    holder = _holder(data, path)
    if holder is None:
        return
    mode = holder.pop("signing_mode")
    if not isinstance(mode, str) or mode not in SIGNING:
        message = "is none of the values that are possible here"
        taken.problems.append(positions.problem(path, message, found=shown(mode), allowed=", ".join(SIGNING)))
    elif holder.setdefault("sign", SIGNING[mode]) != SIGNING[mode]:
        message = "stands beside `sign`, and says otherwise"
        taken.problems.append(positions.problem(path, message, found=mode, allowed="one of the two"))


def _secrets(data: dict[str, Any], positions: Positions, taken: Taken) -> None:
    if _SECRETS not in data:
        return
    held = data.pop(_SECRETS)
    others = {} if not isinstance(held, dict) else {key: value for key, value in held.items() if key != "source"}
    if not isinstance(held, dict) or held.get("source") != "env" or any(others.values()):
        message = "credentials come from variables of the environment, as ${NAME} where they are needed"
        taken.problems.append(positions.problem((_SECRETS,), message, allowed="source: env"))
    else:
        _note((_SECRETS,), "credentials come from variables of the environment anyway", positions, taken)


def _services(data: dict[str, Any]) -> None:
    """What belongs to plugins that there are not: the plugins themselves are refused where they are looked for."""
    for path, step in steps(data):
        if path[0] == "sinks" and step.get("plugin") == "database":
            step.pop("effect_ledger", None)


def _telemetry(data: dict[str, Any], positions: Positions, taken: Taken) -> None:
    """Keys of exporters that there are not go. One that is nearly one of ours stays, to be found wrong."""
    telemetry = data.get("telemetry")
    if not isinstance(telemetry, dict):
        return
    for name in list(telemetry):
        path: KeyPath = ("telemetry", name)
        ours = keys_at(path[:1])
        if name in ours:
            continue
        if guess := suggest(str(name), ours):
            allowed = ", ".join(ours)
            taken.problems.append(positions.problem(path, "unknown key", allowed=allowed, suggestion=guess))
        else:
            _note(path, "metrics and spans leave by prometheus and otlp", positions, taken)
        del telemetry[name]
