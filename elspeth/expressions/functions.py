"""The functions of expressions: pure, on values that a row can hold, with results of a bounded size.

A function takes values of the types it is made for and nothing else: what Python would make of other values, or of
null, is seldom what is meant. What goes wrong is said with the function and the value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, NoReturn

from elspeth.expressions.bounded import plain, show
from elspeth.expressions.conversions import CONVERT
from elspeth.expressions.limits import MAX_DIGITS, MAX_ITEMS, MAX_REPEAT, MAX_SEARCHED
from elspeth.expressions.safe_patterns import compile_safely
from elspeth.expressions.typed_functions import conversion, days_between

_EXACT = 2**53  # whole numbers up to here are floats without rounding
_NUMBERS = (int, float)
_SIZED = (str, list, dict)
_ANY_NUMBER = 1_000


@dataclass(frozen=True, slots=True)
class Function:
    """A function as it may be called: `form` for people, `least` to `most` arguments, and what it gives if that is
    known.
    """

    form: str
    call: Callable[..., Any]
    least: int
    most: int
    gives: Literal["number", "text", "bool", "list"] | None = None


def _wrong(name: str, takes: str, value: Any) -> NoReturn:
    advice = ": coalesce(x, y) gives y for null" if value is None else ""
    what = "null" if value is None else f"{show(value)} ({_kind(value)})"
    raise TypeError(f"{name} takes {takes}, not {what}{advice}")


def _kind(value: Any) -> str:
    return {"str": "text", "dict": "mapping", "Decimal": "decimal"}.get(type(value).__name__, type(value).__name__)


# -- text -----------------------------------------------------------------------------------------------------


def _len(value: Any) -> int:
    if isinstance(value, _SIZED):
        return len(value)
    _wrong("len", "a text, a list or a mapping", value)


def _lower(text: Any) -> str:
    return text.lower() if type(text) is str else _wrong("lower", "a text", text)


def _upper(text: Any) -> str:
    return text.upper() if type(text) is str else _wrong("upper", "a text", text)


def _strip(text: Any, *characters: Any) -> str:
    if type(text) is not str:
        _wrong("strip", "a text", text)
    if characters and type(characters[0]) is not str:
        _wrong("strip", "the characters to take off as a text", characters[0])
    return text.strip(*characters)


def _replace(text: Any, old: Any, new: Any) -> str:
    for value in (text, old, new):
        if type(value) is not str:
            _wrong("replace", "three texts", value)
    if not old:
        raise ValueError("replace cannot look for the empty text")
    longer = len(new) - len(old)
    if longer > 0:
        length = len(text) + text.count(old) * longer
        if length > MAX_REPEAT:
            raise OverflowError(f"replace would give {length} characters, more than {MAX_REPEAT}")
    return str(text.replace(old, new))


def _split(text: Any, *given: Any) -> list[str]:
    separator = given[0] if given else None  # None: at any blanks
    if type(text) is not str:
        _wrong("split", "a text", text)
    if given and type(separator) is not str:
        _wrong("split", "the separator as a text", separator)
    if separator == "":
        raise ValueError("split cannot look for the empty text")
    parts: list[str] = text.split(separator, MAX_ITEMS)
    if len(parts) > MAX_ITEMS:
        raise OverflowError(f"split would give more than {MAX_ITEMS} parts")
    return parts


def _join(parts: Any, separator: Any) -> str:
    if type(parts) is not list:
        _wrong("join", "a list of texts", parts)
    if type(separator) is not str:
        _wrong("join", "the separator as a text", separator)
    for part in parts:
        if type(part) is not str:
            _wrong("join", "a list of texts", part)
    if len(parts) * len(separator) > MAX_REPEAT:
        raise OverflowError(f"join would give more than {MAX_REPEAT} characters of separators")
    return str(separator.join(parts))


def _startswith(text: Any, start: Any) -> bool:
    for value in (text, start):
        if type(value) is not str:
            _wrong("startswith", "two texts", value)
    return bool(text.startswith(start))


def _endswith(text: Any, end: Any) -> bool:
    for value in (text, end):
        if type(value) is not str:
            _wrong("endswith", "two texts", value)
    return bool(text.endswith(end))


def _contains(whole: Any, part: Any) -> bool:
    if type(whole) is list:
        return part in whole
    if type(whole) is not str:
        _wrong("contains", "a text or a list", whole)
    if type(part) is not str:
        _wrong("contains", "a text to look for in a text", part)
    return part in whole


def matcher(pattern: str) -> Callable[[Any], bool]:
    """`matches` with this pattern. Raises `UnsafePattern` for one that could run away, or is none."""
    search = compile_safely(pattern).search

    def matches(text: Any) -> bool:
        if type(text) is not str:
            _wrong("matches", "a pattern and a text", text)
        if len(text) > MAX_SEARCHED:
            raise OverflowError(f"matches searches up to {MAX_SEARCHED} characters, the text has {len(text)}")
        return search(text) is not None

    return matches


def _matches(pattern: str, text: Any) -> bool:
    return matcher(pattern)(text)


# -- numbers --------------------------------------------------------------------------------------------------


def _round(number: Any, *given: Any) -> int | float:
    kind = type(number)
    if kind is not float and kind is not int:
        _wrong("round", "a number", number)
    if not given:
        whole: int = round(number)
        return whole
    digits = given[0]
    if type(digits) is not int or abs(digits) > MAX_DIGITS:
        _wrong("round", f"a whole number of digits up to {MAX_DIGITS}", digits)
    rounded: int | float = plain(round(number, digits))
    return rounded


def _abs(number: Any) -> int | float:
    if type(number) is int or type(number) is float:
        return abs(number)
    _wrong("abs", "a number", number)


def _several(name: str, values: tuple[Any, ...]) -> list[Any]:
    if len(values) == 1:
        if type(values[0]) is not list:
            _wrong(name, "a list, or several values", values[0])
        values = tuple(values[0])
    if not values:
        raise ValueError(f"{name} of no values")
    kind = str if type(values[0]) is str else _NUMBERS
    for value in values:
        if isinstance(value, bool) or not isinstance(value, kind):
            _wrong(name, "numbers alone, or texts alone", value)
    return list(values)


def _min(*values: Any) -> Any:
    return min(_several("min", values))


def _max(*values: Any) -> Any:
    return max(_several("max", values))


def _sum(values: Any) -> int | float:
    if type(values) is not list:
        _wrong("sum", "a list of numbers", values)
    for value in values:
        if type(value) not in _NUMBERS:
            _wrong("sum", "a list of numbers", value)
    total: int | float = plain(exact_sum(values))
    return total


def exact_sum(values: list[int | float]) -> int | float:
    """The sum: whole numbers stay whole, one with floats is rounded once. Raises `OverflowError` beyond a float."""
    if all(type(value) is int for value in values):
        return sum(values)
    if all(type(value) is float or abs(value) <= _EXACT for value in values):
        return math.fsum(values)
    return float(sum(map(Fraction, values), Fraction()))


# -- types, nothing, and many ---------------------------------------------------------------------------------


def _conversion(name: str) -> Callable[[Any], Any]:
    convert = CONVERT[name]

    def converted(value: Any) -> Any:
        if value is None:
            _wrong(name, "a text, a number, true or false", value)
        try:
            return convert(value)
        except ValueError as error:
            raise ValueError(f"{name} cannot take {error}") from None

    return converted


def _coalesce(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _is_null(value: Any) -> bool:
    return value is None


def _any(values: Any) -> bool:
    return any(values) if type(values) is list else _wrong("any", "a list", values)


def _all(values: Any) -> bool:
    return all(values) if type(values) is list else _wrong("all", "a list", values)


FUNCTIONS: dict[str, Function] = {
    "len": Function("len(x)", _len, 1, 1, "number"),
    "lower": Function("lower(text)", _lower, 1, 1, "text"),
    "upper": Function("upper(text)", _upper, 1, 1, "text"),
    "strip": Function("strip(text, characters)", _strip, 1, 2, "text"),
    "replace": Function("replace(text, old, new)", _replace, 3, 3, "text"),
    "split": Function("split(text, separator)", _split, 1, 2, "list"),
    "join": Function("join(list, separator)", _join, 2, 2, "text"),
    "startswith": Function("startswith(text, start)", _startswith, 2, 2, "bool"),
    "endswith": Function("endswith(text, end)", _endswith, 2, 2, "bool"),
    "contains": Function("contains(x, part)", _contains, 2, 2, "bool"),
    "matches": Function("matches('pattern', text)", _matches, 2, 2, "bool"),
    "round": Function("round(number, digits)", _round, 1, 2, "number"),
    "abs": Function("abs(number)", _abs, 1, 1, "number"),
    "min": Function("min(a, b, ...) or min(list)", _min, 1, _ANY_NUMBER),
    "max": Function("max(a, b, ...) or max(list)", _max, 1, _ANY_NUMBER),
    "sum": Function("sum(list)", _sum, 1, 1, "number"),
    "int": Function("int(x)", _conversion("int"), 1, 1, "number"),
    "float": Function("float(x)", _conversion("float"), 1, 1, "number"),
    "str": Function("str(x)", _conversion("str"), 1, 1, "text"),
    "bool": Function("bool(x)", _conversion("bool"), 1, 1, "bool"),
    "decimal": Function("decimal(x)", conversion("decimal"), 1, 1),
    "date": Function("date(x)", conversion("date"), 1, 1),
    "datetime": Function("datetime(x)", conversion("datetime"), 1, 1),
    "days_between": Function("days_between(a, b)", days_between, 2, 2, "number"),
    "coalesce": Function("coalesce(a, b, ...)", _coalesce, 2, 50),
    "is_null": Function("is_null(x)", _is_null, 1, 1, "bool"),
    "any": Function("any(list)", _any, 1, 1, "bool"),
    "all": Function("all(list)", _all, 1, 1, "bool"),
}
"""By name, in the order of the reference page. `matches`, `coalesce` and `is_null` are compiled to something faster."""
