"""How many values of a field lie beyond each of several thresholds."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from elspeth.plugins.aggregations.statistics.base import Finite, Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.errors import batch_error
from elspeth.plugins.aggregations.statistics.values import check_numbers, column, observed
from elspeth.plugins.contract import Row

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip


class Threshold(BaseModel):
    """One comparison."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Text = Field(description="Its name in the result; each name once.")
    operator: Literal["<", "<=", ">", ">=", "==", "!="] = Field(description="How a value is compared with `value`.")
    value: Finite = Field(description="The threshold itself.")


class BatchThresholdSummaryOptions(StatisticOptions):
    """Which values are compared with what."""

    value_field: Text = Field(description="The field that holds the numbers; null does not count.")
    thresholds: list[Threshold] = Field(
        min_length=1, max_length=128, description="The thresholds, up to 128; one result row for each."
    )

    @field_validator("thresholds")
    @classmethod
    def _named_once(cls, thresholds: list[Threshold]) -> list[Threshold]:
        names = [threshold.name for threshold in thresholds]
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"the name {twice[0]!r} stands here twice")
        return thresholds


class BatchThresholdSummary(Statistic):
    """Counts the values of a field on either side of thresholds: exceedance counts and rates; one row per threshold.

    The rate is the empirical exceedance probability, 1 - F(t) for `>`, with F the empirical distribution function
    (Kolmogorov 1933).
    """

    name: ClassVar[str] = "batch_threshold_summary"
    Options = BatchThresholdSummaryOptions
    options: BatchThresholdSummaryOptions
    result_fields = {
        "value_field": "Name of the field.",
        "threshold_name": "The threshold's name.",
        "operator": "How values are compared with it.",
        "threshold": "The number they are compared with.",
        "batch_size": "Rows of the batch.",
        "valid_count": "Finite values (n).",
        "missing_count": "Rows whose value is null.",
        "non_finite_count": "Rows whose value is NaN or infinite.",
        "match_count": "Exceedance count: finite values for which the comparison holds.",
        "non_match_count": "Finite values for which it does not.",
        "match_rate": "Empirical exceedance probability (Kolmogorov 1933): match_count/valid_count.",
    }

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row per threshold, in the order of the option. Raises `RowError` if there is no finite value."""
        field = self.options.value_field
        check_numbers(rows, field)
        values = observed(column(rows, field))
        if not values.values:
            cause = f"field {field!r} holds no finite number"
            raise batch_error("no_finite_values", cause, values.problems(), field=field)
        counts = {
            "batch_size": len(rows),
            "valid_count": len(values.values),
            "missing_count": len(values.missing),
            "non_finite_count": len(values.non_finite),
        }
        results = []
        for threshold in self.options.thresholds:
            compare = _OPERATORS[threshold.operator]
            matches = sum(compare(value, threshold.value) for value in values.values)
            results.append({
                "value_field": field,
                "threshold_name": threshold.name,
                "operator": threshold.operator,
                "threshold": threshold.value,
                **counts,
                "match_count": matches,
                "non_match_count": len(values.values) - matches,
                "match_rate": matches / len(values.values),
            })  # fmt: skip
        return results

    def named_fields(self) -> frozenset[str]:
        """The field with the numbers."""
        return frozenset({self.options.value_field})
