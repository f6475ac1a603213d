"""Mean, median, quantiles and spread of numbers, each with the batch error for a result that no float can hold."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

from elspeth.plugins.aggregations.statistics.errors import computed
from elspeth.plugins.aggregations.statistics.values import Number


def mean(values: Sequence[Number], operation: str = "mean") -> float:
    """The arithmetic mean: the sum, rounded once at its end whatever the order of the rows, over their number."""
    return computed(operation, _mean, values)


def median(values: Sequence[Number], operation: str = "median") -> float:
    """The middle of the sorted values, or the mean of the two in the middle (`statistics.median`)."""
    return computed(operation, statistics.median, values)


def stdev(values: Sequence[Number], operation: str = "stdev") -> float | None:
    """The sample standard deviation, over n - 1 (`statistics.stdev`); None for a single value."""
    return computed(operation, statistics.stdev, values) if len(values) > 1 else None


def quantile(values: Sequence[Number], share: Fraction, operation: str) -> float:
    """The quantile by linear interpolation between order statistics at (n - 1) * share.

    This is type 7 of Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American Statistician 50 (1996).
    """
    return computed(operation, _quantile, values, share)


def standard_error(*samples: tuple[float, int]) -> float:
    """The standard error of a mean (stdev/sqrt(n)), or of the difference of two (Welch 1947)."""
    return computed("standard_error", math.hypot, *(spread / math.sqrt(count) for spread, count in samples))


def difference(left: Number, right: Number, operation: str) -> float:
    """`left` - `right`."""
    return computed(operation, lambda: left - right)


def ratio(above: Number, below: Number, operation: str) -> float | None:
    """`above` / `below`, None where that is undefined because `below` is 0."""
    return None if below == 0 else computed(operation, lambda: above / below)


def interval(center: float, error: float) -> tuple[float, float]:
    """The interval that holds 95 of 100 normal distributions' means: 1.96 standard errors to both sides."""
    low = computed("confidence_95_low", lambda: center - 1.96 * error)
    return low, computed("confidence_95_high", lambda: center + 1.96 * error)


def _mean(values: Sequence[Number]) -> float:
    whole = all(type(value) is int for value in values)
    return (sum(values) if whole else math.fsum(values)) / len(values)


def _quantile(values: Sequence[Number], share: Fraction) -> float:
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    below = math.floor(place)
    lower = Fraction(ordered[below])
    upper = Fraction(ordered[min(below + 1, len(ordered) - 1)])
    return float(lower + (upper - lower) * (place - below))  # exact, so that nothing overflows in between
