"""Canonical JSON and its hash, written a second time so that the product's own can be doubted."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

_EXACT = 2**53
_SIMPLE = {str, int, bool, type(None)}
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode


def _number(value: float) -> str:
    """A float as ECMAScript prints it (RFC 8785, 3.2.2.3): shortest digits, exponent outside 1e-7 <= |x| < 1e21."""
    if not math.isfinite(value):
        raise ValueError(f"{value} has no place in JSON")
    if value == 0:
        return "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent = f"{abs(value)!r}".partition("e")
    whole, _, fraction = mantissa.partition(".")
    if fraction == "0":
        fraction = ""
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0)  # where the decimal point stands, counted from the first written digit
    point -= len(whole + fraction) - len(digits)
    digits = digits.rstrip("0") or "0"
    if 0 < point <= 21:
        text = digits.ljust(point, "0")
        return sign + (text if len(digits) <= point else f"{digits[:point]}.{digits[point:]}")
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    power = point - 1
    head = digits if len(digits) == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{sign}{head}e{'+' if power > 0 else '-'}{abs(power)}"


def _plain(value: Any) -> bool:
    """Whether the standard encoder gives the canonical bytes: ASCII keys, no floats, nothing nested."""
    return isinstance(value, dict) and set(map(type, value.values())) <= _SIMPLE and "".join(value).isascii()


def dumps(value: Any) -> str:
    """The canonical text of a value; integers of any size as their decimal digits."""
    if _plain(value):
        return _encode(value)
    if isinstance(value, dict):
        keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
        return "{" + ",".join(f"{dumps(key)}:{dumps(value[key])}" for key in keys) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(dumps(item) for item in value) + "]"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else _number(value)
    return json.dumps(value, ensure_ascii=False)


def sha256(value: Any) -> str:
    """Hex SHA-256 of the canonical text in UTF-8."""
    return hashlib.sha256(dumps(value).encode()).hexdigest()
