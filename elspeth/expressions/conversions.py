r"""Values of one type as values of another, exactly or not at all: what `type_coerce` and expressions convert with.

    from \ to    int                      float                     bool                      str
    text        [+-]digits               decimal or 1e5 notation   true/false, yes/no,       as it is
                                                                   on/off, 1/0 (any case)
    int         as it is                 if a float can hold it    1 and 0                   decimal digits
    float       if it is a whole number  as it is                  refused                   shortest exact digits
    bool        refused                  refused                   as it is                  true or false
    list, dict  refused

White space around text is ignored. `1_000`, `1,000`, `0x10`, `nan` and `inf` are no numbers here, and what a float
cannot hold (too large, or not zero but rounded to zero) is refused.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

_INT = re.compile(r"[+-]?[0-9]{1,1000}", re.ASCII)
_FLOAT = re.compile(r"[+-]?(?:[0-9]{1,1000}\.?[0-9]{0,1000}|\.[0-9]{1,1000})(?:[eE][+-]?[0-9]{1,6})?", re.ASCII)
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


def _to_int(value: Any) -> int:
    kind = type(value)
    if kind is int:
        return int(value)
    if kind is str and _INT.fullmatch(text := value.strip()):
        return int(text)
    if kind is float and value.is_integer():
        return int(value)
    raise _refused(value)


def _to_float(value: Any) -> float:
    kind = type(value)
    if kind is float:
        return float(value)
    if kind is str and _FLOAT.fullmatch(text := value.strip()):
        number = float(text)
        if math.isfinite(number) and (number or not _has_value(text)):
            return number
        raise ValueError(f"{_shown(value)} is outside of what a float can hold")
    if kind is int:
        try:
            number = float(value)
        except OverflowError:
            raise ValueError(f"{_shown(value)} is outside of what a float can hold") from None
        if number == value:
            return number
        raise ValueError(f"{_shown(value)} would be rounded to {number!r}")
    raise _refused(value)


def _to_bool(value: Any) -> bool:
    kind = type(value)
    if kind is bool:
        return bool(value)
    if kind is str:
        text = value.strip().lower()
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
    if kind is int and value in (0, 1):
        return bool(value)
    raise _refused(value)


def _to_str(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    raise _refused(value)


CONVERT: dict[str, Callable[[Any], Any]] = {"int": _to_int, "float": _to_float, "bool": _to_bool, "str": _to_str}


def _has_value(text: str) -> bool:
    return any(digit in "123456789" for digit in re.split("[eE]", text)[0])


def _refused(value: Any) -> ValueError:
    names = {"str": "text", "list": "a list", "dict": "an object"}
    kind = names.get(type(value).__name__, f"a {type(value).__name__}")
    return ValueError(f"{_shown(value)} ({kind})")


def _shown(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 80 else f"{text[:77]}...") if isinstance(value, str) else text[:80]
