"""The functions of expressions for decimals, dates and times; whatever else they are given they leave to the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any, TypeVar

from elspeth.expressions.bounded import plain as plain_value
from elspeth.expressions.exact import TYPED, is_in, require_comparable, rounded, sum_of, words_of
from elspeth.expressions.limits import MAX_DIGITS
from elspeth.schema.typed_text import READ, read_date, read_datetime, read_decimal, to_text

Value = TypeVar("Value")


def to_decimal(value: Any) -> Decimal:
    """The decimal that a text or whole number is. Raises `ValueError` with the value and why it is none."""
    if type(value) is Decimal:
        return value
    if type(value) is str:
        return _of_text(read_decimal, value)
    if type(value) is int:
        if value.bit_length() > 13_000:
            raise ValueError("a whole number of so many digits")
        return Decimal(value)
    if type(value) is float:
        raise ValueError(f"{value!r} (a float), which is not exact: decimal(str(x)) takes the digits that are shown")
    raise ValueError(_shown(value))


def to_date(value: Any) -> date:
    """The day that a text, date or time names. Raises `ValueError` with the value and why it is none."""
    if isinstance(value, date):
        return value.date() if isinstance(value, datetime) else value
    if type(value) is str:
        return _of_text(read_date, value)
    raise ValueError(_shown(value))


def to_datetime(value: Any) -> datetime:
    """The time that a text names. Raises `ValueError` with the value and why it is none."""
    if isinstance(value, datetime):
        return value
    if type(value) is str:
        return _of_text(read_datetime, value)
    raise ValueError(_shown(value))


CONVERT_TYPED: dict[str, Callable[[Any], Any]] = {"decimal": to_decimal, "date": to_date, "datetime": to_datetime}


def _of_text(read: Callable[[str], Value], text: str) -> Value:
    try:
        return read(text)
    except ValueError as error:
        raise ValueError(f"{text[:80]!r} (text): {error}") from None


def _shown(value: Any) -> str:
    text = to_text(value) if type(value) in TYPED else repr(value)
    return f"{text[:80]} ({words_of(value)})"


def reader(kind: str) -> Callable[[Any], Any]:
    """What makes a value of a row's text in a field of this type; null stays null."""
    convert = CONVERT_TYPED[kind]

    of_text = READ[kind]

    def read(value: Any) -> Any:
        if value is None:
            return None
        try:
            return of_text(value) if value.__class__ is str else convert(value)
        except ValueError as error:
            held = f"{value[:80]!r} (text): {error}" if value.__class__ is str else error
            raise ValueError(f"a field of type {kind} holds {held}") from None

    return read


def conversion(kind: str) -> Callable[[Any], Any]:
    """The function of expressions that is named after this type."""
    convert = CONVERT_TYPED[kind]
    takes = {"decimal": "a text or a whole number", "date": "a text or a time", "datetime": "a text"}[kind]

    def converted(value: Any) -> Any:
        if value is None:
            raise TypeError(f"{kind} takes {takes}, not null: coalesce(x, y) gives y for null")
        try:
            return convert(value)
        except ValueError as error:
            raise ValueError(f"{kind} cannot take {error}") from None

    return converted


def days_between(first: Any, second: Any) -> int:
    """How many days the second is after the first; of a time counts the day that it names."""
    for value in (first, second):
        if not isinstance(value, date):
            hint = ": date(x) makes one of a text" if type(value) is str else ""
            raise TypeError(f"days_between takes two dates or times, not {_shown(value)}{hint}")
    return (to_date(second) - to_date(first)).days


def _round(plain: Callable[..., Any]) -> Callable[..., Any]:
    def round_(number: Any, *given: Any) -> Any:
        digits = given[0] if given else None
        if type(number) is not Decimal or (given and (type(digits) is not int or abs(digits) > MAX_DIGITS)):
            return plain(0 if type(number) is Decimal else number, *given)
        return plain_value(rounded(number, digits))

    return round_


def _abs(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda number: number.copy_abs() if type(number) is Decimal else plain(number)


def _extreme(name: str, plain: Callable[..., Any], choose: Callable[..., Any]) -> Callable[..., Any]:
    def chosen(*values: Any) -> Any:
        if len(values) == 2 and type(values[0]) is Decimal and type(values[1]) is Decimal:
            return choose(values)  # what is nearly always meant, without further ado
        several = values[0] if len(values) == 1 and type(values[0]) is list else values
        typed = [value for value in several if type(value) in TYPED]
        if not typed or (several is values and len(values) == 1):
            return plain(*values)
        for value in several:
            if value is None:
                raise TypeError(f"{name} takes no null: coalesce(x, y) gives y for null")
            require_comparable(name, typed[0], value)
        return choose(several)

    return chosen


def _sum(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def summed(values: Any) -> Any:
        if type(values) is not list or not any(type(value) is Decimal for value in values):
            return plain(values)
        for value in values:
            if type(value) is not Decimal and type(value) is not int:
                raise TypeError(f"sum takes decimals and whole numbers, not {_shown(value)} among them")
        return sum_of(values)

    return summed


def _contains(plain: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda whole, part: is_in(part, whole) if type(whole) is list else plain(whole, part)


def _str(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: to_text(value) if type(value) in TYPED else plain(value)


def _int(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def whole(value: Any) -> Any:
        if type(value) is not Decimal:
            return plain(value)
        if value != value.to_integral_value():
            raise ValueError(f"int cannot take {_shown(value)}: round(x) gives the nearest")
        return plain_value(int(value))

    return whole


def _float(plain: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: plain(to_text(value)) if type(value) is Decimal else plain(value)


def with_typed(functions: dict[str, Callable[..., Any]]) -> dict[str, Callable[..., Any]]:
    """The functions as an expression in which decimals, dates or times occur calls them."""
    return {
        **functions,
        "round": _round(functions["round"]),
        "abs": _abs(functions["abs"]),
        "min": _extreme("min", functions["min"], min),
        "max": _extreme("max", functions["max"], max),
        "sum": _sum(functions["sum"]),
        "contains": _contains(functions["contains"]),
        "str": _str(functions["str"]),
        "int": _int(functions["int"]),
        "float": _float(functions["float"]),
    }
