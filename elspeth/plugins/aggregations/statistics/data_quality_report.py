"""What is in the fields of a batch: what is missing, blank, not finite, no plain value, and what is there twice."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from pydantic import Field, field_validator

from elspeth.plugins.aggregations.statistics.base import Statistic, StatisticOptions, Text
from elspeth.plugins.aggregations.statistics.values import is_non_finite, same_value
from elspeth.plugins.contract import Row

_SCALARS = (str, int, float, bool)


class BatchDataQualityReportOptions(StatisticOptions):
    """What is looked at."""

    inspect_fields: list[Text] = Field(
        min_length=1, max_length=128, description="The fields to look at, up to 128; one result row for each."
    )

    @field_validator("inspect_fields")
    @classmethod
    def _different(cls, names: list[str]) -> list[str]:
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise ValueError(f"{twice[0]!r} stands here twice")
        return names


class BatchDataQualityReport(Statistic):
    """Reports the data quality of fields: completeness, validity and uniqueness; one row per field.

    These are three of the dimensions in "The Six Primary Dimensions for Data Quality Assessment" (DAMA UK, 2013).
    Whatever a field holds is counted, so no value makes an error; a row without the field counts as one with null.
    """

    name: ClassVar[str] = "batch_data_quality_report"
    Options = BatchDataQualityReportOptions
    options: BatchDataQualityReportOptions
    result_fields = {
        "field": "Name of the field.",
        "batch_size": "Rows of the batch; every rate is a share of them.",
        "missing_count": "Rows in which the field is null.",
        "missing_rate": "Completeness, seen from its other side (DAMA 2013): missing_count/batch_size.",
        "observed_count": "Rows in which it is not null.",
        "blank_string_count": "Texts that are empty or white space only.",
        "blank_string_rate": "Share of them: blank_string_count/batch_size.",
        "non_finite_count": "NaN and infinities (IEEE 754).",
        "non_scalar_count": "Lists and objects.",
        "valid_count": "Values that are none of these.",
        "valid_rate": "Validity (DAMA 2013): valid_count/batch_size.",
        "distinct_count": "Different values among the valid ones; true, 1 and 1.0 are three.",
        "duplicate_count": "Uniqueness, seen from its other side (DAMA 2013): valid_count - distinct_count.",
        "observed_type_counts": "How often each type (by its name in Python) was seen in values that are not null.",
    }

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row per field, in the order of the option."""
        return [_report(name, [row.get(name) for row in rows]) for name in self.options.inspect_fields]

    def named_fields(self) -> frozenset[str]:
        """The fields that are looked at."""
        return frozenset(self.options.inspect_fields)

    def fields_needed(self) -> frozenset[str]:
        """None of those that are looked at: what is not there is what the report is about."""
        return frozenset(self.options.required_input_fields)


def _report(name: str, values: list[Any]) -> Row:
    size = len(values)
    observed = [value for value in values if value is not None]
    blank = sum(isinstance(value, str) and not value.strip() for value in observed)
    non_finite = sum(map(is_non_finite, observed))
    non_scalar = sum(type(value) not in _SCALARS for value in observed)
    valid = [value for value in observed if _is_valid(value)]
    distinct = len(set(map(same_value, valid)))
    return {
        "field": name,
        "batch_size": size,
        "missing_count": size - len(observed),
        "missing_rate": (size - len(observed)) / size,
        "observed_count": len(observed),
        "blank_string_count": blank,
        "blank_string_rate": blank / size,
        "non_finite_count": non_finite,
        "non_scalar_count": non_scalar,
        "valid_count": len(valid),
        "valid_rate": len(valid) / size,
        "distinct_count": distinct,
        "duplicate_count": len(valid) - distinct,
        "observed_type_counts": dict(Counter(type(value).__name__ for value in observed)),
    }


def _is_valid(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value.strip())
    return type(value) in _SCALARS and not is_non_finite(value)
