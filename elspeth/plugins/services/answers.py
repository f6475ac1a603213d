"""Reads what a model answered: as text, as JSON, as JSON that meets a schema; and takes values out of it by path."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from elspeth.errors import SettingsError
from elspeth.plugins.options import KeyPath

_FENCE = re.compile(r"\s*```(?:json)?[ \t]*\n(.*?)\n?```\s*", re.DOTALL | re.IGNORECASE)
_MISSING = object()


class Unmet(Exception):
    """An answer is not what was asked for; the message says why, to the model as well."""


def parse_json(text: str) -> Any:
    """The value of an answer that is JSON, within a Markdown fence perhaps. Raises `Unmet`."""
    fenced = _FENCE.fullmatch(text)
    try:
        return json.loads(fenced[1] if fenced else text, parse_constant=_refused)
    except RecursionError:
        raise Unmet("it is nested too deeply") from None
    except ValueError as error:
        raise Unmet(f"it is no JSON: {error}") from None


def _refused(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


class Schema:
    """A JSON Schema (draft 2020-12). Raises `SettingsError` for what is none. References outside of it lead nowhere."""

    def __init__(self, schema: Mapping[str, Any], where: str, option: KeyPath = ()) -> None:
        from jsonschema import Draft202012Validator, SchemaError  # takes long to import, and few steps need it
        from referencing import Registry

        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise SettingsError(
                f"{where} is no JSON Schema: {error.json_path}: {error.message:.200}", option=option
            ) from None
        self._validator = Draft202012Validator(schema, registry=Registry())

    def check(self, value: Any) -> None:
        """Raise `Unmet` unless the value meets the schema, with the first places where it does not."""
        from referencing.exceptions import Unresolvable

        try:
            errors = sorted(self._validator.iter_errors(value), key=lambda error: error.json_path)
        except Unresolvable as error:
            raise Unmet(f"its schema refers to {error.ref!r:.100}, which is not within it") from None
        if errors:
            raise Unmet("; ".join(f"{error.json_path}: {error.message:.200}" for error in errors[:5]))


def at_path(value: Any, path: str) -> Any:
    """The value at a dotted path, numbers being places in lists (from 0). Raises `LookupError` if there is none."""
    for part in path.split("."):
        if isinstance(value, Mapping):
            value = value.get(part, _MISSING)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            value = _MISSING
        if value is _MISSING:
            raise LookupError(path)
    return value
