"""What the built-in transforms mean, said in a few lines each."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.kit.oracle.expressions import Refused, evaluate
from tests.kit.oracle.reading import Row

Meaning = Callable[[dict[str, Any], Row], Row]


_MISSING = object()


def _reach(row: Row, path: str) -> Any:
    if path in row:
        return row[path]
    value: Any = row
    for part in path.split("."):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return _MISSING
    return value


def _field_mapper(options: dict[str, Any], row: Row) -> Row:
    mapping = options["mapping"]
    found = {old: value for old in mapping if (value := _reach(row, old)) is not _MISSING}
    if options.get("strict") and len(found) < len(mapping):
        raise Refused("a field is missing")
    if options.get("select_only"):
        return {mapping[old]: value for old, value in found.items()}
    given = {mapping[old] for old in found}
    if options.get("strict") and any(new in row and new not in mapping for new in given):
        raise Refused("a name is taken")
    result = {mapping.get(key, key): value for key, value in row.items() if key in mapping or key not in given}
    result.update({mapping[old]: value for old, value in found.items() if old not in row})
    return result


def _value_transform(options: dict[str, Any], row: Row) -> Row:
    result = dict(row)
    for operation in options["operations"]:
        result[operation["target"]] = evaluate(operation["expression"], result)
    return result


def _coerced(value: Any, kind: str) -> Any:
    text = value.strip() if isinstance(value, str) else None
    if value is None or (kind == "str" and isinstance(value, str)):
        return value
    if kind == "str" and isinstance(value, (bool, int, float)):
        return repr(value).lower() if isinstance(value, bool) else repr(value)
    if kind == "bool":
        known = {
            "true": True,
            "yes": True,
            "on": True,
            "1": True,
            "false": False,
            "no": False,
            "off": False,
            "0": False,
        }
        if isinstance(value, (bool, str, int)) and (text or str(value)).lower() in known:
            return known[(text or str(value)).lower()]
    elif kind == "int" and not isinstance(value, bool):
        if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
            return int(value)
        if text is not None and re.fullmatch(r"[+-]?[0-9]+", text):
            return int(text)
    elif kind == "float" and not isinstance(value, bool):
        pattern = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
        if isinstance(value, (int, float)) or (text is not None and re.fullmatch(pattern, text)):
            number = float(value)
            if math.isfinite(number) and (isinstance(value, str) or number == value):
                return number
    raise Refused(f"{value!r} is no {kind}")


def _type_coerce(options: dict[str, Any], row: Row) -> Row:
    result = dict(row)
    for conversion in options["conversions"]:
        if conversion["field"] not in row:
            raise Refused(f"no field {conversion['field']}")
        result[conversion["field"]] = _coerced(result[conversion["field"]], conversion["to"])
    return result


def _truncate(options: dict[str, Any], row: Row) -> Row:
    result = dict(row)
    suffix = options.get("suffix", "")
    for name, length in options["fields"].items():
        value = row.get(name)
        if isinstance(value, str):
            result[name] = value if len(value) <= length else value[: length - len(suffix)] + suffix
        elif options.get("strict") and (name not in row or value is not None):
            raise Refused(f"{name} is no text")
    return result


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    elif value is not None and not isinstance(value, bool):
        yield value if isinstance(value, str) else repr(value)


def _keyword_filter(options: dict[str, Any], row: Row) -> Row:
    names = options.get("fields", "all")
    names = list(row) if names in (None, "all", ["all"]) else [names] if isinstance(names, str) else names
    patterns = options["blocked_patterns"]
    for text in (text for name in names for text in _texts(row.get(name))):
        if len(text) > options.get("max_length", 50_000):
            raise Refused("too long")
        if any(re.search(pattern, text) for pattern in ([patterns] if isinstance(patterns, str) else patterns)):
            raise Refused(f"{text} is blocked")
    return row


BUILT_IN: dict[str, Meaning] = {
    "passthrough": lambda options, row: row,
    "field_mapper": _field_mapper,
    "value_transform": _value_transform,
    "type_coerce": _type_coerce,
    "truncate": _truncate,
    "keyword_filter": _keyword_filter,
}
