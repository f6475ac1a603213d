"""The spellings of a row schema, and their one normal form."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Mode = Literal["observed", "fixed", "flexible"]
FieldType = Literal["int", "float", "decimal", "str", "bool", "date", "datetime", "any"]

_MODES: dict[str, Mode] = {
    "observed": "observed",
    "dynamic": "observed",
    "fixed": "fixed",
    "strict": "fixed",
    "flexible": "flexible",
    "free": "flexible",
}
_TYPES: tuple[FieldType, ...] = ("int", "float", "decimal", "str", "bool", "date", "datetime", "any")
_KEYS = ("mode", "fields", "guaranteed_fields", "required_fields")


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One named field. An optional one may be missing or null."""

    name: str
    type: FieldType
    optional: bool = False


@dataclass(frozen=True, slots=True)
class RowSchema:
    """A row schema in its one normal form.

    `guaranteed_fields` are present in every row that leaves the node, `required_fields` in every row that reaches it,
    beside what `fields` says; of both, only presence is known.
    """

    mode: Mode = "observed"
    fields: tuple[FieldSpec, ...] = ()
    guaranteed_fields: tuple[str, ...] = ()
    required_fields: tuple[str, ...] = ()

    @classmethod
    def parse(cls, spec: Any) -> RowSchema:
        """The schema that `spec`, the value of a `schema` key in the settings, describes; None means `observed`.

        Accepts `{fields: dynamic}`, `{mode: observed}`, `{mode: fixed | strict | flexible | free, fields: ...}`, the
        words `dynamic` and `observed` alone, and the form of `to_dict`. `fields` is a list of `"name: type"` or a
        mapping from name to type; a `?` behind the type makes a field optional. Raises `ValueError` with a sentence.
        """
        if spec is None or spec in ("dynamic", "observed"):
            return cls()
        if not isinstance(spec, Mapping):
            raise ValueError(f"schema: expected a mapping such as {{mode: observed}}, found {show(spec)}")
        for key in spec:
            if key not in _KEYS:
                raise ValueError(f"schema: unknown key {show(key)}{_suggest(key, _KEYS)}; allowed: {', '.join(_KEYS)}")
        fields = spec.get("fields")
        dynamic = fields in ("dynamic", "observed")
        mode = _mode(spec.get("mode", "observed" if dynamic or fields is None else None))
        if mode == "observed":
            if not dynamic and fields:
                raise ValueError("schema: mode 'observed' takes no fields; use 'flexible' (these and more) or 'fixed'")
            specs: tuple[FieldSpec, ...] = ()
        elif dynamic:
            raise ValueError(f"schema: mode '{mode}' needs a list of fields, found {show(fields)}")
        else:
            specs = _fields(fields, mode)
        return cls(mode, specs, _names(spec, "guaranteed_fields"), _names(spec, "required_fields"))

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> RowSchema:
        """The schema that `to_dict` described. Raises `ValueError`."""
        return cls.parse(value)

    def to_dict(self) -> dict[str, Any]:
        """The normal form as plain data, the same for every spelling."""
        return {
            "mode": self.mode,
            "fields": [{"name": f.name, "type": f.type, "optional": f.optional} for f in self.fields],
            "guaranteed_fields": list(self.guaranteed_fields),
            "required_fields": list(self.required_fields),
        }


def _mode(word: Any) -> Mode:
    if word is None:
        raise ValueError("schema: fields are given but no mode: 'fixed' (exactly these) or 'flexible' (these and more)")
    if not isinstance(word, str) or word not in _MODES:
        raise ValueError(
            f"schema: unknown mode {show(word)}{_suggest(word, _MODES)}; "
            "allowed: observed (or dynamic), fixed (or strict), flexible (or free)"
        )
    return _MODES[word]


def _fields(fields: Any, mode: Mode) -> tuple[FieldSpec, ...]:
    if isinstance(fields, Mapping):
        items: list[Any] = [{name: kind} for name, kind in fields.items()]
    elif isinstance(fields, list | tuple):
        items = list(fields)
    elif fields is None:
        items = []
    else:
        raise ValueError(f'schema: fields must be a list of "name: type", found {show(fields)}')
    if not items:
        raise ValueError(f"schema: mode '{mode}' needs at least one field; use {{mode: observed}} to take what comes")
    specs: dict[str, FieldSpec] = {}
    for item in items:
        spec = _field(item)
        if spec.name in specs:
            raise ValueError(f"schema: field '{spec.name}' is listed twice")
        specs[spec.name] = spec
    return tuple(specs.values())


def _field(item: Any) -> FieldSpec:
    optional: Any = False
    if isinstance(item, str) and ":" in item:
        name, _, kind = (part.strip() for part in item.rpartition(":"))
    elif (
        isinstance(item, Mapping) and "name" in item and "type" in item and item.keys() <= {"name", "type", "optional"}
    ):
        name, kind, optional = item["name"], item["type"], item.get("optional", False)
    elif isinstance(item, Mapping) and len(item) == 1:
        ((name, kind),) = item.items()
    else:
        raise ValueError(f'schema: a field is written "name: type", found {show(item)}')
    if not isinstance(name, str) or not name:
        raise ValueError(f"schema: a field's name must be text, found {show(name)}")
    if not isinstance(optional, bool):
        raise ValueError(f"schema: field '{name}': optional must be true or false, found {show(optional)}")
    word = kind
    if isinstance(word, str) and word.endswith("?"):
        word, optional = word[:-1].rstrip(), True
    if word not in _TYPES:
        raise ValueError(
            f"schema: field '{name}' has the unknown type {show(kind)}{_suggest(word, _TYPES)}; "
            f"allowed: {', '.join(_TYPES)}, each with a trailing ? for optional"
        )
    return FieldSpec(name, word, optional)


def _names(spec: Mapping[Any, Any], key: str) -> tuple[str, ...]:
    names = spec.get(key) or ()
    if not isinstance(names, list | tuple) or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"schema: {key} must be a list of field names, found {show(names)}")
    return tuple(dict.fromkeys(names))


def _suggest(word: Any, allowed: Any) -> str:
    close = difflib.get_close_matches(str(word), list(allowed), n=1)
    return f" (did you mean '{close[0]}'?)" if close else ""


def show(value: Any) -> str:
    """A value as an error message shows it: its repr, at most 80 characters."""
    try:
        text = repr(value[:80] if isinstance(value, str) else value)
    except ValueError:  # Python refuses to print whole numbers of very many digits
        return f"a {type(value).__name__} of very many digits"
    return text if len(text) <= 80 else text[:77] + "..."
