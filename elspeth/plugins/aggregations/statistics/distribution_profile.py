"""How the values of a field are spread, as a whole or per group."""

from __future__ import annotations

from fractions import Fraction
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.errors import batch_error, computed
from elspeth.plugins.aggregations.statistics.values import Group, Number, Observed, check_numbers, grouped, observed
from elspeth.plugins.contract import Row

_SOMETIMES = {
    "missing_indices": "Places in the batch of the missing values, from 0; only if there are any.",
    "non_finite_indices": "Places in the batch of NaN and infinities, from 0; only if there are any.",
}
_FIELDS = {
    "field": "Name of the field.",
    "count": "Finite values (n).",
    "batch_size": "Rows of the group; without `group_by`, of the batch.",
    "missing_count": "Rows whose value is null.",
    "non_finite_count": "Rows whose value is NaN or infinite.",
    "min": "Minimum (first order statistic), as it came.",
    "max": "Maximum (last order statistic), as it came.",
    "mean": "Arithmetic mean, sum/n.",
    "median": "Median: the middle value, or the mean of the two in the middle.",
    "p25": "Lower quartile: sample quantile of type 7 (Hyndman and Fan 1996), linear between order statistics.",
    "p75": "Upper quartile, of the same type.",
    "stdev": "Sample standard deviation, over n - 1 (Bessel); null for one value.",
    "summary": "The profile as a sentence.",
}


class BatchDistributionProfileOptions(StatisticOptions):
    """What is profiled, and for whom."""

    value_field: Text = Field(description="The field that holds the numbers; null does not count.")
    group_by: Text | None = Field(default=None, description="A field: one result row for each of its values.")

    @model_validator(mode="after")
    def _group_is_no_result(self) -> BatchDistributionProfileOptions:
        if self.group_by in _FIELDS or self.group_by in _SOMETIMES:
            raise ValueError(f"group_by: {self.group_by!r} is the name of a result; rename the field before")
        return self


class BatchDistributionProfile(Statistic):
    """Profiles the numbers of a field: range, mean, quartiles and spread; one row for the batch, or one per group.

    Quartiles are sample quantiles of type 7 (Hyndman and Fan, "Sample Quantiles in Statistical Packages", The American
    Statistician 50, 1996), those of `statistics.quantiles(method="inclusive")`. With `group_by`, the group's value is
    in a field of that name.
    """

    name: ClassVar[str] = "batch_distribution_profile"
    Options = BatchDistributionProfileOptions
    options: BatchDistributionProfileOptions
    result_fields = {**_FIELDS, **_SOMETIMES}
    sometimes = frozenset(_SOMETIMES)

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row per group in order of first appearance. Raises `RowError` if a group has no finite value."""
        field, group_by = self.options.value_field, self.options.group_by
        check_numbers(rows, field)
        if group_by is None:
            groups = [Group(None, list(enumerate(rows)))]
        else:
            groups = list(grouped(rows, group_by).values())
        found = [(group, observed(group.column(field))) for group in groups]
        empty = [group.value for group, values in found if not values.values]
        if empty:
            problems = sorted(problem for _, values in found if not values.values for problem in values.problems())
            where = "" if group_by is None else f" where {group_by!r} is {', '.join(map(repr, empty[:5]))}"
            raise batch_error(
                "no_finite_values", f"field {field!r} holds no finite number{where}", problems, field=field
            )
        return [self._profile(group, values) for group, values in found]

    def named_fields(self) -> frozenset[str]:
        """The field with the numbers, and the group's."""
        return frozenset(filter(None, (self.options.value_field, self.options.group_by)))

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The result's, and the group's."""
        return frozenset(_FIELDS) | self._group()

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The result's, and the group's."""
        return frozenset(self.result_fields) | self._group()

    def _group(self) -> frozenset[str]:
        return frozenset(filter(None, (self.options.group_by,)))

    def _profile(self, group: Group, values: Observed) -> Row:
        finite = values.values
        profile: Row = {
            "field": self.options.value_field,
            "count": len(finite),
            "batch_size": len(group.rows),
            "missing_count": len(values.missing),
            "non_finite_count": len(values.non_finite),
            "min": min(finite),
            "max": max(finite),
            "mean": moments.mean(finite),
            "median": moments.median(finite),
            "p25": moments.quantile(finite, Fraction(1, 4), "p25"),
            "p75": moments.quantile(finite, Fraction(3, 4), "p75"),
            "stdev": moments.stdev(finite),
        }
        profile["summary"] = self._summary(group.value, profile)
        if values.missing:
            profile["missing_indices"] = values.missing
        if values.non_finite:
            profile["non_finite_indices"] = values.non_finite
        if self.options.group_by is not None:
            profile[self.options.group_by] = group.value
        return profile

    def _summary(self, group: Any, profile: Row) -> str:
        group_by = self.options.group_by
        whose = "" if group_by is None else f" grouped by {group_by}={group}"
        return (
            f"Distribution profile for {self.options.value_field}{whose}: {profile['batch_size']} rows, "
            f"{profile['count']} finite values, {profile['missing_count']} missing, "
            f"{profile['non_finite_count']} non-finite, mean {profile['mean']:.3f}, median {profile['median']:.3f}, "
            f"range {_decimal('min', profile['min'])} to {_decimal('max', profile['max'])}."
        )


def _decimal(operation: str, value: Number) -> str:
    return f"{computed(operation, float, value):.3f}"
