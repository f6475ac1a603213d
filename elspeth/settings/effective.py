"""The value of every option, defaults included, as it is stored with a run: no later default reaches it.

A document of format 2 holds every option that there was when it was written. One of format 1 (it names no format) holds
what the file said; its defaults are those of version 0.1.0, which wrote it. An option that is younger than a document
means what was true before there was such an option.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from elspeth.errors import NewerVersion, SettingsError
from elspeth.settings import defaults_0_1_0
from elspeth.settings.model import Settings

FORMAT = "settings_format"
"""The key under which a stored document names its format."""

PRESENT_FORMAT = 2

SECTIONS_SINCE: dict[str, Any] = {
    "landscape": {"mode": None, "export": {"signing_secret_ref": None, "record_type": False}},
    "providers": {},
    "rate_limit": {"enabled": True, "default_requests_per_minute": None, "services": {}},
    "telemetry": {"enabled": True, "prometheus": None, "otlp": None},
    "cluster": None,
    "budget": {"max_cost": None, "currency": None, "max_calls": None, "warn_at": 0.8},
}
"""Options that came after version 0.1.0, each with the value that means what 0.1.0 did; shaped like its `SECTIONS`.
Whoever adds an option adds it here: a test asks for it."""

STEPS_SINCE: dict[str, dict[str, Any]] = {"sinks": {"error_fields": False}}
"""The same for steps, by section, shaped like `STEPS`."""

_SPELLING = {"dates": {}, "decimal_comma": False, "thousands_separator": None, "true_values": [], "false_values": []}
_PACKED = {"compression": "none", "max_expansion": 100, "file_field": None}
_LENIENT = {"initial_space": False, "escapechar": None, "comment": None, "line_end": "lf", "ragged": "refuse"}
OPTIONS_SINCE: dict[str, dict[str, Any]] = {
    "source json": {**_SPELLING, **_PACKED},
    "source text": {**_SPELLING, **_PACKED, "skip_footer": 0},
    "source csv": {**_SPELLING, **_PACKED, **_LENIENT, "on_drift": "refuse", "skip_footer": 0},
    **{f"sink {name}": {"compression": "none"} for name in ("json", "text")},
    "sink csv": {"compression": "none", "quoting": "minimal", "null_as": "", "escape_formulas": False},
    # Runs from before these hold `lines_per_page`: their reports have pages, to which these mean nothing.
    "aggregation report_assemble": {"output_field": "report_body", "format": "plain_text", "join_with": "\n"},
}
"""The same for options of built-in plugins, by kind and name, shaped like `OPTIONS`."""

OPTIONS_WITH_FORMAT_2: dict[str, dict[str, Any]] = {
    "source csv": {"on_empty": "warn", "raw": None, "normalize_fields": False},
    "source json": {"on_empty": "warn", "duplicate_keys": "last", "raw": None, "field_mapping": {}},
    "source text": {"on_empty": "warn", "raw": None},
    "sink csv": {"file_mode": None, "empty_header": "declared", "booleans": ["true", "false"], "whole_floats": False},
    **{f"sink {name}": {"file_mode": None} for name in ("json", "text")},
    "aggregation batch_stats": {"value_field": None, "fields": {}},
    "transform line_explode": {"max_lines": None},
}
"""Options that were there when the first document of format 2 was written: only those of format 1 lack them."""

_KINDS = {"source": "source", "sources": "source", "transforms": "transform", "aggregations": "aggregation",
          "sinks": "sink"}  # fmt: skip
_SOURCES = ("source", "sources")  # a document has one of them


def complete(document: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The document of settings that were just read, with the value of every option as it holds now."""
    effective = settings.model_dump(mode="json")
    for other in _SOURCES:
        if other not in document:
            del effective[other]
    return {**filled(document, effective), FORMAT: PRESENT_FORMAT}


def as_stored(document: Mapping[str, Any]) -> dict[str, Any]:
    """A stored document with the value of every option as it held when the run was started; it names no format.

    Raises `NewerVersion` where a newer Elspeth stored it, `SettingsError` where none did.
    """
    found = document.get(FORMAT, 1)
    if type(found) is not int or found < 1:
        raise SettingsError(f"The settings stored with this run have no format that there ever was: {found!r}")
    if found > PRESENT_FORMAT:
        raise NewerVersion(
            f"the settings stored with this run have format {found}, this program reads formats up to {PRESENT_FORMAT}",
            next_step="use the newer Elspeth that started the run; `elspeth status RUN_ID` names it",
        )
    result = copy.deepcopy({key: value for key, value in document.items() if key != FORMAT})
    if "providers" not in result:  # no service was asked: whatever limits stood there held for nothing
        result.pop("rate_limit", None)
    if found == 1:
        result = _with(result, defaults_0_1_0.SECTIONS, defaults_0_1_0.STEPS, defaults_0_1_0.OPTIONS)
        result = _with(result, {}, {}, OPTIONS_WITH_FORMAT_2)
    return _with(result, SECTIONS_SINCE, STEPS_SINCE, OPTIONS_SINCE)


def in_0_1_0(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document of format 1 as version 0.1.0 took it for the hash of its settings: options of plugins as written."""
    result = _with(copy.deepcopy(dict(document)), defaults_0_1_0.SECTIONS, defaults_0_1_0.STEPS, {})
    return {"source": None, "sources": {}, **result}


def filled(written: Any, defaults: Any) -> Any:
    """What was written, with what is missing in it."""
    if isinstance(written, dict) and isinstance(defaults, dict):
        missing = {key: copy.deepcopy(value) for key, value in defaults.items() if key not in written}
        return {key: filled(value, defaults.get(key)) for key, value in written.items()} | missing
    if isinstance(written, list) and isinstance(defaults, list) and len(written) == len(defaults):
        return [filled(*pair) for pair in zip(written, defaults, strict=True)]
    return written


def _with(
    document: dict[str, Any], sections: Mapping[str, Any], steps: Mapping[str, Any], options: Mapping[str, Any]
) -> dict[str, Any]:
    result: dict[str, Any] = filled(document, dict(sections))
    for section, holder, key in list(_steps(result)):
        step = holder[key]
        known = dict(steps.get("source" if section in _SOURCES else section, {}))
        if section in _KINDS:
            known["options"] = options.get(f"{_KINDS[section]} {step.get('plugin')}", {})
        holder[key] = filled(step, known)
    return result


def _steps(document: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Every step: its section, and what holds it under which key."""
    if isinstance(document.get("source"), dict):
        yield "source", document, "source"
    for section in ("sources", "transforms", "gates", "aggregations", "coalesce", "sinks"):
        held: Any = document.get(section)
        keys = held.keys() if isinstance(held, dict) else range(len(held)) if isinstance(held, list) else ()
        for key in keys:
            if isinstance(held[key], dict):
                yield section, held, key
