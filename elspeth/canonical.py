"""Canonical JSON (RFC 8785), so that equal data has equal bytes and one SHA-256 wherever and whenever it is computed.

One extension, stated: integers beyond 2^53 are written as their decimal digits, where the RFC would lose digits.
Refused with `ValueError`: NaN, infinities, lone surrogates, keys that are not text, types that JSON does not have.

Two encoders give the same bytes: orjson for what provably prints alike (nearly every row), and a plain one built on
the `rfc8785` package for the rest. Where they would differ: floats outside [1e-4, 1e15), integral floats (orjson
writes `1.0`), and keys beyond U+D7FF, which RFC 8785 sorts as UTF-16.
"""

from __future__ import annotations

import hashlib
import json
import re
from math import isfinite
from typing import Any

import orjson
import rfc8785

JsonObject = dict[str, Any]
"""An object of JSON whose keys are not ours to know, or are made only to be printed or recorded: a plugin's position or
state, the details of an event, a command's result."""

VERSION = "rfc8785+bigint/1"
"""Names the rules of this module; recorded with every run as `canonical_version`."""

_SCALARS = frozenset({str, int, bool, type(None)})
_SAFE_INTEGER = 2**53
_SORTED = orjson.OPT_SORT_KEYS
_LONG_NUMBER = re.compile(r"\d{19}")


MAX_DEPTH = 200
"""How deep lists and objects may be nested in a row. What is deeper is no row: to compare or to copy it would need more
calls within calls than there are."""


class _NotAlike(Exception):
    """The two encoders may differ on this value: the reference one decides."""


def dumps(value: Any) -> bytes:
    """The canonical bytes of a value that JSON can hold. Raises `ValueError` for what it cannot."""
    try:
        # The whole check of a flat row without floats is two passes in C: what is all ASCII has no odd keys.
        if type(value) is dict and _SCALARS.issuperset(map(type, value.values())):
            data = orjson.dumps(value, option=_SORTED)
            if data.isascii() or "".join(value).isascii():
                return data
        return orjson.dumps(_alike(value, 0), option=_SORTED)
    except (_NotAlike, TypeError):  # orjson's own errors are TypeErrors
        return reference(value)


def sha256(value: Any) -> str:
    """SHA-256 (hex) of the canonical bytes. Raises `ValueError` like `dumps`."""
    return hashlib.sha256(dumps(value)).hexdigest()


def reference(value: Any) -> bytes:
    """What `dumps` answers, from the plain encoder alone: slow, and the one that is right by construction."""
    return _reference(value, 0)


def to_text(value: Any) -> str:
    """Compact JSON that keeps the order of keys, to be stored and read by people. Refuses what `dumps` refuses."""
    if type(value) is dict and _flat(value):
        try:
            return orjson.dumps(value).decode()
        except TypeError:
            pass  # integers beyond 64 bits, lone surrogates, odd keys: told apart below
    _refuse_foreign(value, 0)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    text.encode()  # a lone surrogate raises UnicodeEncodeError, which is a ValueError
    return text


def from_text(text: str) -> Any:
    """The value that `to_text` wrote, big integers included. Raises `ValueError` if it is not JSON."""
    try:
        value = orjson.loads(text)
    except ValueError:  # a number that is no float of 64 bits, either
        if _LONG_NUMBER.search(text):
            return json.loads(text)
        raise
    # orjson turns integers beyond 64 bits into floats. A flat row without floats had none: to look for their digits
    # would take several times as long as to read the row.
    if type(value) is dict and _SCALARS.issuperset(map(type, value.values())):
        return value
    return json.loads(text) if _LONG_NUMBER.search(text) else value


def sha256_of_text(text: str) -> str:
    """`sha256` of the value that `to_text` wrote. Raises `ValueError` if it is not JSON, or not what `dumps` takes."""
    try:
        # Of a flat row without floats, one look answers what each of the two would look for.
        value = orjson.loads(text)
        if type(value) is dict and _SCALARS.issuperset(map(type, value.values())):
            data = orjson.dumps(value, option=_SORTED)
            if data.isascii() or "".join(value).isascii():
                return hashlib.sha256(data).hexdigest()
    except ValueError:
        pass  # `from_text` tells whether it is JSON, or what is wrong with it
    return sha256(from_text(text))


def _flat(row: dict[str, Any]) -> bool:
    values = row.values()
    if _SCALARS.issuperset(map(type, values)):
        return True
    foreign = set(map(type, values)) - _SCALARS
    return foreign == {float} and all(isfinite(value) for value in values if type(value) is float)


def _level(depth: int) -> int:
    """One level deeper. Raises `ValueError` where that is too deep."""
    if depth >= MAX_DEPTH:
        raise ValueError(f"nested too deeply to be written as JSON: more than {MAX_DEPTH} levels")
    return depth + 1


def _alike(value: Any, depth: int) -> Any:
    """An equal value that orjson prints canonically; raises `_NotAlike` if there may be none."""
    kind = type(value)
    if kind in _SCALARS:
        return value
    if kind is float:
        if -_SAFE_INTEGER < value < _SAFE_INTEGER and value.is_integer():
            return int(value)
        if 1e-4 <= value < 1e15 or -1e15 < value <= -1e-4:
            return value
        raise _NotAlike
    if kind is list or kind is tuple:
        depth = _level(depth)
        return [_alike(item, depth) for item in value]
    if kind is dict:
        depth = _level(depth)
        for key in value:
            if type(key) is not str or not (key.isascii() or max(key) < "\ud800"):
                raise _NotAlike
        return {key: _alike(item, depth) for key, item in value.items()}
    raise _NotAlike


def _reference(value: Any, depth: int) -> bytes:
    if isinstance(value, dict):
        depth = _level(depth)
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"a key of an object is {key!r}, not text")
        ordered = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return b"{" + b",".join(rfc8785.dumps(key) + b":" + _reference(item, depth) for key, item in ordered) + b"}"
    if isinstance(value, list | tuple):
        depth = _level(depth)
        return b"[" + b",".join(_reference(item, depth) for item in value) + b"]"
    if isinstance(value, int) and not isinstance(value, bool):
        return str(int(value)).encode()
    return bytes(rfc8785.dumps(value))


def _refuse_foreign(value: Any, depth: int) -> None:
    """The json module writes keys and types of its own choosing; here they are errors."""
    if isinstance(value, dict):
        depth = _level(depth)
        for key, item in value.items():
            if not isinstance(key, str):
                raise ValueError(f"a key of an object is {key!r}, not text")
            _refuse_foreign(item, depth)
    elif isinstance(value, list | tuple):
        depth = _level(depth)
        for item in value:
            _refuse_foreign(item, depth)
    elif value is not None and not isinstance(value, str | int | float):
        raise ValueError(f"{type(value).__name__} is not a JSON type")
