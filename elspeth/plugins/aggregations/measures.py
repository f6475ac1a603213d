"""What `batch_stats` can say of the values of a field: each measure takes them in the order of the rows."""

from __future__ import annotations

import contextlib
import json
import math
import statistics
from collections.abc import Callable, Sequence
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from typing import Any, Literal

from elspeth.expressions.exact import ARITHMETIC, require_comparable, sum_of
from elspeth.plugins.contract import Row, RowError
from elspeth.plugins.typed_fields import TypedFields
from elspeth.schema.typed_text import to_text

Measure = Literal["count", "sum", "mean", "min", "max", "median", "stdev", "distinct", "first", "last"]
Number = int | float
OF_DATES: tuple[Measure, ...] = ("count", "min", "max", "distinct", "first", "last")
"""The measures that dates and times have; decimals have all of them, exactly."""

_EXACT = 2**53  # whole numbers up to here are floats without rounding


def value_of(row: Row, field: str, index: int) -> Any:
    """The value of a field of a batch's row. Raises `RowError` where there is none."""
    if field not in row:
        raise RowError(f"row {index} of the batch (from 0) has no field {field!r}", field=field, index=index)
    return row[field]


def number_of(value: Any, field: str, index: int) -> Number:
    """The value, if it is a number. Raises `RowError`."""
    if type(value) is int or type(value) is float:
        return value  # by the exact type: a bool is no number here
    raise RowError(
        f"field {field!r} of row {index} of the batch (from 0) is no number but a {type(value).__name__}",
        field=field,
        index=index,
    )


def identity_of(value: Any) -> tuple[str, Any]:
    """What tells a value from others: the type is part of it, for 1, 1.0 and true are equal in Python, not in a row."""
    if isinstance(value, list | dict):
        return type(value).__name__, json.dumps(value, sort_keys=True)
    return type(value).__name__, value


def _least(one: Any, other: Any) -> Any:
    require_comparable("min", one, other)
    return min(one, other)


def _greatest(one: Any, other: Any) -> Any:
    require_comparable("max", one, other)
    return max(one, other)


FUNCTIONS_OF_TYPED: dict[str, Callable[[Any, Any], Any]] = {"min": _least, "max": _greatest}


def exact_sum(values: list[Number]) -> Number:
    """The sum: whole numbers stay whole, one with floats is rounded once, whatever the order of the values.

    Raises `OverflowError` where it is larger than a float can hold.
    """
    if all(type(value) is int for value in values):
        return sum(values)
    if all(type(value) is float or abs(value) <= _EXACT for value in values):
        with contextlib.suppress(OverflowError):  # it may be one in between only: 1e308 + 1e308 - 1e308
            return math.fsum(values)
    return float(sum(map(Fraction, values), Fraction()))


def measured(
    measure: Measure, field: str, values: list[Any], places: list[int], typed: TypedFields | None = None
) -> Any:
    """The measure of a field's values; `places` are their rows in the batch, from 0; `typed` knows their types.

    Null does not count, but for `first` and `last`. Raises `RowError` for a value of a type that the measure does not
    take, and for a result that is larger than a float can hold.
    """
    if measure in ("first", "last"):
        return values[0 if measure == "first" else -1]
    there = [(value, place) for value, place in zip(values, places, strict=True) if value is not None]
    if measure == "count":
        return len(there)
    kind = typed.kind(field) if typed is not None else None
    if typed is not None and kind is not None:
        return _of_typed(measure, field, [value for value, _ in there], typed)
    if measure == "distinct":
        return len({identity_of(value) for value, _ in there})
    if measure in ("min", "max") and there and all(isinstance(value, str) for value, _ in there):
        return (min if measure == "min" else max)(value for value, _ in there)
    numbers = [number_of(value, field, place) for value, place in there]
    try:
        return _OF_NUMBERS[measure](numbers)
    except OverflowError as error:
        raise RowError(f"the {measure} of {field!r} is larger than a float can hold", field=field) from error


def _of_typed(measure: Measure, field: str, texts: list[Any], typed: TypedFields) -> Any:
    if measure == "distinct":
        return len({typed.same(field, text) for text in texts})
    if measure not in OF_DATES and typed.kind(field) != "decimal":
        raise RowError(f"field {field!r} is a {typed.kind(field)}, of which there is no {measure}", field=field)
    values = [typed.value(field, text) for text in texts]
    if not values:
        return "0" if measure == "sum" else None
    try:
        if measure in ("min", "max"):
            return to_text(reduce(FUNCTIONS_OF_TYPED[measure], values))
        return measured_decimals(measure, values)
    except (TypeError, ArithmeticError, ValueError) as error:
        raise RowError(f"the {measure} of {field!r}: {error}", field=field) from error


def measured_decimals(measure: str, values: list[Decimal]) -> str | float | None:
    """Sum, mean or median of decimals as canonical text; exact, but for a quotient that does not come out.

    The standard deviation is a float. Raises `ArithmeticError` for a sum of too many digits.
    """
    add, divide = ARITHMETIC["Add"], ARITHMETIC["Div"]
    if measure == "stdev":
        return _stdev(values)
    if measure == "sum":
        return to_text(sum_of(values))
    if measure == "mean":
        return to_text(divide(sum_of(values), len(values)))
    ordered, middle = sorted(values), len(values) // 2
    if len(ordered) % 2:
        return to_text(ordered[middle])
    return to_text(divide(add(ordered[middle - 1], ordered[middle]), 2))


def _mean(numbers: list[Number]) -> float | None:
    return exact_sum(numbers) / len(numbers) if numbers else None


def _median(numbers: list[Number]) -> Number | None:
    if not numbers:
        return None
    ordered, middle = sorted(numbers), len(numbers) // 2
    return ordered[middle] if len(ordered) % 2 else exact_sum(ordered[middle - 1 : middle + 1]) / 2


def _stdev(numbers: Sequence[Number | Decimal]) -> float | None:
    """Of a sample (divided by n - 1), from exact sums of squares, rounded once; None for fewer than two numbers."""
    if len(numbers) < 2:
        return None
    return float(statistics.stdev(map(Fraction, numbers)))


_OF_NUMBERS: dict[str, Callable[[list[Number]], Number | None]] = {
    "sum": exact_sum,
    "mean": _mean,
    "min": lambda numbers: min(numbers, default=None),
    "max": lambda numbers: max(numbers, default=None),
    "median": _median,
    "stdev": _stdev,
}
