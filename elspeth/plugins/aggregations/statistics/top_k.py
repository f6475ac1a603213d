"""Which values of a field are the most frequent, as a whole or per group."""

from __future__ import annotations

from collections import Counter
from typing import Any, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.statistics.base import Statistic, StatisticOptions, Text, Whole
from elspeth.plugins.aggregations.statistics.values import (
    Group,
    Key,
    check_scalars,
    grouped,
    is_non_finite,
    same_value,
)
from elspeth.plugins.contract import Row


class BatchTopKOptions(StatisticOptions):
    """What is counted, and for whom."""

    field: Text = Field(description="The field whose values are counted.")
    k: Whole = Field(default=10, gt=0, description="How many of the most frequent values to tell.")
    group_by: Text | None = Field(default=None, description="A field: one result row for each of its values.")
    include_missing: bool = Field(default=False, description="Count null as a value like others.")

    @model_validator(mode="after")
    def _two_fields(self) -> BatchTopKOptions:
        self.differ("field", "group_by")
        return self


class BatchTopK(Statistic):
    """Tells the most frequent values of a field (mode, and those after it); one row for the batch, or one per group.

    This is the head of the frequency distribution of a categorical variable (Yule, An Introduction to the Theory of
    Statistics, 1911), counted exactly, not the approximate top k of data streams.
    """

    name: ClassVar[str] = "batch_top_k"
    Options = BatchTopKOptions
    options: BatchTopKOptions
    result_fields = {
        "field": "Name of the field.",
        "group_by": "Name of the group's field, or null.",
        "group_value": "The group's value in it; null without `group_by`.",
        "batch_size": "Rows of the group; without `group_by`, of the batch.",
        "count": "Values counted (n).",
        "missing_count": "Rows whose value is null; they are in `count` too, if `include_missing` says so.",
        "non_finite_count": "Rows whose value is NaN or infinite; they are left out.",
        "distinct_count": "Different values among those counted; true, 1 and 1.0 are three.",
        "k": "The option `k`.",
        "top_values": "Frequency distribution (Yule 1911): up to k of `{value, count, rate}`, the most frequent first, "
        "ties in the order of their first appearance; rate is the relative frequency, its count over `count`.",
    }

    def compute(self, rows: list[Row]) -> list[Row]:
        """One row per group, in order of first appearance; one without a value to count has an empty list."""
        check_scalars(rows, self.options.field)
        if self.options.group_by is None:
            return [self._counted(Group(None, list(enumerate(rows))))]
        return [self._counted(group) for group in grouped(rows, self.options.group_by).values()]

    def named_fields(self) -> frozenset[str]:
        """The field whose values are counted, and the group's."""
        return frozenset(filter(None, (self.options.field, self.options.group_by)))

    def _counted(self, group: Group) -> Row:
        options = self.options
        values = [value for _, value in group.column(options.field)]
        missing = values.count(None)
        counted = [
            value for value in values if not is_non_finite(value) and (value is not None or options.include_missing)
        ]
        first: dict[Key, Any] = {}
        for value in counted:
            first.setdefault(same_value(value), value)
        counts = Counter(map(same_value, counted))
        return {
            "field": options.field,
            "group_by": options.group_by,
            "group_value": group.value,
            "batch_size": len(values),
            "count": len(counted),
            "missing_count": missing,
            "non_finite_count": sum(map(is_non_finite, values)),
            "distinct_count": len(counts),
            "k": options.k,
            # `most_common` sorts stably, and a Counter keeps the order of first appearance.
            "top_values": [
                {"value": first[key], "count": count, "rate": count / len(counted)}
                for key, count in counts.most_common(options.k)
            ],
        }
