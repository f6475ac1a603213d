"""The few notions that `plain.py` needs: when values are the same, which are numbers, and what is said of numbers."""

from __future__ import annotations

import math
from typing import Any


def same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def index(values: list[Any], value: Any) -> int:
    return next((place for place, other in enumerate(values) if same(other, value)), -1)


def distinct(values: list[Any]) -> list[Any]:
    found: list[Any] = []
    for value in values:
        if index(found, value) < 0:
            found.append(value)
    return found


def gone(value: Any) -> bool:
    return isinstance(value, float) and (value != value or abs(value) == math.inf)


def number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def label(value: Any) -> bool:
    return value is None or isinstance(value, str | int)


def finite(values: list[Any]) -> list[Any]:
    return [value for value in values if value is not None and not gone(value)]


def mean(values: list[Any]) -> float:
    return sum(values) / len(values)


def stdev(values: list[Any]) -> float | None:
    if len(values) < 2:
        return None
    return math.sqrt(sum((value - mean(values)) ** 2 for value in values) / (len(values) - 1))


def median(values: list[Any]) -> float:
    return quantile(values, 0.5)


def quantile(values: list[Any], q: float) -> float:
    place = (len(values) - 1) * q
    low, high = sorted(values)[math.floor(place)], sorted(values)[math.ceil(place)]
    return float(low + (high - low) * (place - math.floor(place)))


def over(above: float | None, below: float | None) -> float | None:
    return None if above is None or not below else above / below
