"""Counts and sums the rows of a batch, as a whole or per group."""

from __future__ import annotations

import json
import math
from fractions import Fraction
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.contract import Aggregation, Context, Made, PluginOptions, Row, RowError

_EXACT = 2**53  # whole numbers up to here are floats without rounding
_RESULTS = ("count", "sum", "batch_size", "mean")


class BatchStatsOptions(PluginOptions):
    """What is summed, and for whom."""

    value_field: str = Field(min_length=1, description="The field that holds the numbers; null does not count.")
    group_by: str | None = Field(default=None, description="A field: one result row for each of its values.")
    compute_mean: bool = Field(default=True, description="Say the mean too (null where there is no number).")

    @model_validator(mode="after")
    def _group_is_no_result(self) -> BatchStatsOptions:
        if self.group_by in _RESULTS:
            raise ValueError(f"group_by: {self.group_by!r} is the name of a result; rename the field before")
        return self


class BatchStats(Aggregation):
    """Gives count, sum and mean of a field: one row for the batch, or one per group in order of first appearance.

    `count` is how many numbers there were, `batch_size` how many rows the whole batch had. Sums are exact: whole
    numbers stay whole, and a sum with floats is rounded once, at its end, whatever the order of the rows.
    """

    name: ClassVar[str] = "batch_stats"
    output_modes = ("transform",)
    Options = BatchStatsOptions
    options: BatchStatsOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row | Made]:
        """The result rows. Raises `RowError` for a missing field, a value that is no number, or a sum out of range."""
        group_by = self.options.group_by
        names: dict[Any, Any] = {}
        numbers: dict[Any, list[int | float]] = {}
        members: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            group = None if group_by is None else _field(row, group_by, index)
            key = _key(group)
            if key not in numbers:
                names[key], numbers[key], members[key] = group, [], []
            members[key].append(index)
            value = _field(row, self.options.value_field, index)
            if value is not None:
                numbers[key].append(_number(value, self.options.value_field, index))
        results = {key: self._result(numbers[key], len(rows), names[key]) for key in numbers}
        if group_by is None:
            return list(results.values())
        return [Made(result, of=members[key]) for key, result in results.items()]

    def fields_in(self) -> frozenset[str]:
        """The field with the numbers, and the group's."""
        return frozenset(filter(None, (self.options.value_field, self.options.group_by)))

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The results, whatever there was before."""
        names = _RESULTS if self.options.compute_mean else _RESULTS[:-1]
        return frozenset(filter(None, (*names, self.options.group_by)))

    def _result(self, values: list[int | float], batch_size: int, group: Any) -> Row:
        try:
            total = _sum(values)
            result: Row = {"count": len(values), "sum": total, "batch_size": batch_size}
            if self.options.compute_mean:
                result["mean"] = total / len(values) if values else None
        except OverflowError as error:
            raise RowError("the sum is larger than a float can hold", field=self.options.value_field) from error
        if self.options.group_by is not None:
            result[self.options.group_by] = group
        return result


def _field(row: Row, field: str, index: int) -> Any:
    if field not in row:
        raise RowError(f"row {index} of the batch (from 0) has no field {field!r}", field=field, index=index)
    return row[field]


def _number(value: Any, field: str, index: int) -> int | float:
    if type(value) is int or type(value) is float:
        return value  # by the exact type: a bool is no number here
    raise RowError(
        f"field {field!r} of row {index} of the batch (from 0) is no number but a {type(value).__name__}",
        field=field,
        index=index,
    )


def _key(group: Any) -> tuple[str, Any]:
    # The type is part of the key: 1, 1.0 and true are equal in Python and not the same in a row.
    if isinstance(group, list | dict):
        return type(group).__name__, json.dumps(group, sort_keys=True)
    return type(group).__name__, group


def _sum(values: list[int | float]) -> int | float:
    if all(type(value) is int for value in values):
        return sum(values)
    if all(type(value) is float or abs(value) <= _EXACT for value in values):
        return math.fsum(values)
    return float(sum(map(Fraction, values), Fraction()))
