"""Whether the values of a field are spread differently in one cohort than in a baseline."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics import moments
from elspeth.plugins.aggregations.statistics.base import Label, Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.comparison import baseline_of, need_two
from elspeth.plugins.aggregations.statistics.errors import batch_error, computed
from elspeth.plugins.aggregations.statistics.values import (
    Group,
    Key,
    Number,
    Observed,
    check_labels,
    check_numbers,
    grouped,
    observed,
    same_value,
)
from elspeth.plugins.contract import Row

_COMMON = {
    "cohort_field": "Name of the field with the cohort.",
    "value_field": "Name of the field with the value.",
    "value_type": "The option `value_type`.",
    "baseline_cohort": "The cohort that is compared with.",
    "cohort": "The cohort that is compared.",
    "batch_size": "Rows of the whole batch.",
    **{
        f"{side}_{name}": meaning
        for side in ("baseline", "cohort")
        for name, meaning in {
            "total_count": f"Rows of the {side}.",
            "count": f"Values of the {side} that are compared (n).",
            "missing_count": f"Rows of the {side} whose value is null.",
            "non_finite_count": f"Rows of the {side} whose value is NaN or infinite.",
        }.items()
    },
}
_NUMERIC = {
    "baseline_mean": "Numeric: arithmetic mean of the baseline, sum/n.",
    "cohort_mean": "Numeric: arithmetic mean of the cohort, sum/n.",
    "mean_delta": "Numeric: difference of the means, cohort - baseline.",
    "ks_statistic": "Numeric: two-sample Kolmogorov-Smirnov statistic D (Smirnov 1939), the largest |F1 - F2|.",
}
_CATEGORICAL = {
    "category_shifts": "Categorical: for each category `{value, baseline_count, cohort_count, baseline_proportion, "
    "cohort_proportion, proportion_delta}`, the baseline's in order of appearance, then the cohort's new ones.",
    "total_variation": "Categorical: total variation distance, half the sum of |p - q| over the categories.",
    "chi_square_statistic": "Categorical: chi-square statistic (Pearson 1900), the sum of (count - e)^2/e, where e is "
    "the baseline's proportion times the cohort's size, over e > 0.",
    "new_category_count": "Categorical: categories that only the cohort has.",
    "new_categories": "Categorical: these categories.",
}


class BatchDriftCompareOptions(StatisticOptions):
    """Which values are compared, and with whose."""

    cohort_field: Text = Field(description="The field that says to which cohort a row belongs, such as a week.")
    value_field: Text = Field(description="The field whose values are compared; null does not count.")
    value_type: Literal["numeric", "categorical"] = Field(
        default="numeric", description="Whether values are numbers, or categories (text, whole numbers, true, false)."
    )
    baseline_cohort: Label = Field(
        default=None, description="The cohort that the others are compared with; left out, the first of the batch."
    )

    @model_validator(mode="after")
    def _two_fields(self) -> BatchDriftCompareOptions:
        self.differ("cohort_field", "value_field")
        return self


class BatchDriftCompare(Statistic):
    """Measures drift: how differently values are spread in each cohort and in a baseline; one row per other cohort.

    Observed by the two-sample Kolmogorov-Smirnov statistic (Smirnov, Bulletin of Moscow University 2, 1939), categories
    by the total variation distance and the chi-square statistic (Pearson, Philosophical Magazine 50, 1900).
    """

    name: ClassVar[str] = "batch_drift_compare"
    Options = BatchDriftCompareOptions
    options: BatchDriftCompareOptions
    result_fields = {**_COMMON, **_NUMERIC, **_CATEGORICAL}

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row per cohort that is not the baseline, in order of first appearance."""
        options, numeric = self.options, self.options.value_type == "numeric"
        (check_numbers if numeric else check_labels)(rows, options.value_field)
        cohorts = grouped(rows, options.cohort_field)
        chosen = baseline_of(cohorts, options.baseline_cohort, "cohort")
        need_two(cohorts, "cohort")
        values = {key: self._values(cohort) for key, cohort in cohorts.items()}
        compare = _numeric if numeric else _categorical
        return [
            {
                "cohort_field": options.cohort_field,
                "value_field": options.value_field,
                "value_type": options.value_type,
                "baseline_cohort": cohorts[chosen].value,
                "cohort": cohort.value,
                "batch_size": len(rows),
                **_counts("baseline", cohorts[chosen], values[chosen]),
                **_counts("cohort", cohort, values[key]),
                **compare(values[chosen].values, values[key].values),
            }
            for key, cohort in cohorts.items()
            if key != chosen
        ]

    def measured_fields(self) -> tuple[str, ...]:
        """The field with the values, where they are numbers."""
        return super().measured_fields() if self.options.value_type == "numeric" else ()

    def named_fields(self) -> frozenset[str]:
        """The fields with cohort and value."""
        return frozenset({self.options.cohort_field, self.options.value_field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """Those of the value's type."""
        return frozenset(_COMMON | (_NUMERIC if self.options.value_type == "numeric" else _CATEGORICAL))

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same."""
        return self.fields_out(fields)

    def _values(self, cohort: Group) -> Observed:
        field = self.options.value_field
        values = observed(cohort.column(field))
        if not values.values:
            cause = f"field {field!r} holds nothing to compare in any row of the cohort {cohort.value!r}"
            raise batch_error("no_valid_values", cause, values.problems(), cohort=cohort.value)
        return values


def _counts(side: str, cohort: Group, values: Observed) -> Row:
    return {
        f"{side}_total_count": len(cohort.rows),
        f"{side}_count": len(values.values),
        f"{side}_missing_count": len(values.missing),
        f"{side}_non_finite_count": len(values.non_finite),
    }


def _numeric(baseline: list[Number], cohort: list[Number]) -> Row:
    baseline_mean, cohort_mean = moments.mean(baseline, "baseline_mean"), moments.mean(cohort, "cohort_mean")
    return {
        "baseline_mean": baseline_mean,
        "cohort_mean": cohort_mean,
        "mean_delta": moments.difference(cohort_mean, baseline_mean, "mean_delta"),
        "ks_statistic": ks_statistic(baseline, cohort),
    }


def ks_statistic(first: list[Number], second: list[Number]) -> float:
    """The largest distance of the two empirical distribution functions, which are the shares of values <= x."""
    first, second = sorted(first), sorted(second)
    return max(
        abs(bisect_right(first, value) / len(first) - bisect_right(second, value) / len(second))
        for value in (*first, *second)
    )


def _categorical(baseline: list[Any], cohort: list[Any]) -> Row:
    before, after = Counter(map(same_value, baseline)), Counter(map(same_value, cohort))
    categories: dict[Key, Any] = {}
    for value in (*baseline, *cohort):
        categories.setdefault(same_value(value), value)
    shifts = [
        {
            "value": value,
            "baseline_count": before[key],
            "cohort_count": after[key],
            "baseline_proportion": before[key] / len(baseline),
            "cohort_proportion": after[key] / len(cohort),
            "proportion_delta": after[key] / len(cohort) - before[key] / len(baseline),
        }
        for key, value in categories.items()
    ]
    expected = [(shift["cohort_count"], shift["baseline_proportion"] * len(cohort)) for shift in shifts]
    new = [value for key, value in categories.items() if not before[key]]
    return {
        "category_shifts": shifts,
        "total_variation": math.fsum(abs(shift["proportion_delta"]) for shift in shifts) / 2,
        "chi_square_statistic": computed(
            "chi_square_statistic", math.fsum, [(count - e) ** 2 / e for count, e in expected if e > 0]
        ),
        "new_category_count": len(new),
        "new_categories": new,
    }
