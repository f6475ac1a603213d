"""What expressions use at run time: operators whose results stay small, and words for what went wrong."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping
from math import isfinite
from typing import Any

from elspeth.expressions.limits import MAX_BITS, MAX_REPEAT

_NUMBERS = (int, float)  # bool is an int


class _Short(reprlib.Repr):
    """Values as they look in a sentence."""

    def repr_int(self, x: int, level: int) -> str:
        if x.bit_length() > MAX_BITS:  # Python itself refuses to print very long ones
            return f"a number of {x.bit_length()} bits"
        return super().repr_int(x, level)

    def repr_Decimal(self, x: Any, level: int) -> str:  # noqa: N802 - named after the class
        return f"decimal({self.repr_str(str(x), level)})"

    def repr_date(self, x: Any, level: int) -> str:
        return f"{type(x).__name__}({x.isoformat()!r})"

    repr_datetime = repr_date


_SHORT = _Short()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60


def times(left: Any, right: Any) -> Any:
    """`left * right`; texts are repeated up to `MAX_REPEAT` characters, lists not at all."""
    if isinstance(left, _NUMBERS) and isinstance(right, _NUMBERS):
        return left * right
    repeated, count = (left, right) if isinstance(right, int) else (right, left)
    if not isinstance(repeated, str):  # a list of references would be small here and enormous once it is written
        raise TypeError(f"* does not work between {type(left).__name__} and {type(right).__name__}")
    if isinstance(count, int) and len(repeated) * count > MAX_REPEAT:
        raise OverflowError(f"repeating a text {count} times gives more than {MAX_REPEAT} characters")
    return repeated * count


def power(left: Any, right: Any) -> Any:
    """`left ** right`, whole numbers up to `MAX_BITS`, never complex."""
    if isinstance(left, int) and isinstance(right, int) and left.bit_length() * right > MAX_BITS:
        raise OverflowError(f"the power is larger than {MAX_BITS} bits")
    result = left**right
    if isinstance(result, complex):
        raise ValueError("the root of a negative number is not a number a row can hold")
    return result


def modulo(left: Any, right: Any) -> Any:
    """`left % right` for numbers; a text on the left would be a format, with widths as large as it likes."""
    if isinstance(left, str):
        raise TypeError("% of text formats it, which is not part of expressions")
    return left % right


def plain(value: Any) -> Any:
    """The value, if it is one that a row can hold: JSON knows no infinity, and readers choke on endless digits."""
    kind = type(value)
    if kind is float and not isfinite(value):
        raise OverflowError("the result is not a finite number")
    if kind is int and value.bit_length() > MAX_BITS:
        raise OverflowError(f"the result is larger than {MAX_BITS} bits")
    return value


def reason(error: Exception, row: Mapping[str, Any], read: frozenset[str]) -> str:
    """What went wrong, in words, with the values that took part."""
    if isinstance(error, KeyError):
        key = error.args[0]
        if key in read and key not in row:
            close = difflib.get_close_matches(str(key), [str(name) for name in row], 1)
            has = f"did you mean {close[0]!r}?" if close else f"it has {shorten(', '.join(map(str, row)), 200)}"
            return f"the row has no field {key!r}; {has}"
        return f"a nested value has no key {_SHORT.repr(key)}"
    values = ", ".join(f"{name} is {_SHORT.repr(row[name])}" for name in sorted(read)[:5] if name in row)
    words = "values are nested too deeply" if isinstance(error, RecursionError) else str(error)
    for python, plain in (("NoneType", "None"), ("instances of ", ""), ("object ", ""), ("decimal.Decimal", "decimal"),
                          ("datetime.date", "date")):  # fmt: skip
        words = words.replace(python, plain)
    return f"{shorten(words, 300)} ({values})" if values else shorten(words, 300)


def show(value: Any) -> str:
    """A value as it looks in a sentence, short."""
    return _SHORT.repr(value)


def shorten(text: str, length: int) -> str:
    """At most `length` characters of the text."""
    return text if len(text) <= length else text[: length - 1] + "…"
