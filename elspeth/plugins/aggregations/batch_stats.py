"""Counts and sums the rows of a batch, as a whole or per group."""

from __future__ import annotations

from math import isfinite
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.measures import Measure, exact_sum, identity_of, measured, number_of, value_of
from elspeth.plugins.contract import Aggregation, Context, Made, PluginOptions, Row, RowError

_RESULTS = ("count", "sum", "batch_size", "mean")
_SKIPPED = ("skipped_missing", "skipped_missing_indices", "skipped_non_finite", "skipped_non_finite_indices")
Name = Annotated[str, Field(min_length=1)]


class BatchStatsOptions(PluginOptions):
    """What is counted and measured, and for whom."""

    value_field: Name | None = Field(
        default=None,
        description="The field that holds the numbers of `sum` and `mean`; null, NaN and infinity do not count. "
        "Without it, `count` is the number of rows.",
    )
    group_by: Name | Annotated[tuple[Name, ...], Field(min_length=1)] | None = Field(
        default=None, description="A field, or several: one result row for each of their values."
    )
    compute_mean: bool = Field(default=True, description="Say the mean too.")
    fields: dict[Name, Annotated[tuple[Measure, ...], Field(min_length=1)]] = Field(
        default={},
        description="Further fields, each with its measures: `{price: [min, max]}` gives `price_min` and `price_max`. "
        "`min` and `max` are of numbers or of texts; `sum`, `mean`, `median` and `stdev` (of a sample) of numbers; "
        "`count`, `distinct`, `first` and `last` of any values. Null counts for `first` and `last` only.",
    )

    @property
    def groups(self) -> tuple[str, ...]:
        """The fields by which rows are grouped."""
        return (self.group_by,) if isinstance(self.group_by, str) else self.group_by or ()

    @property
    def own(self) -> tuple[str, ...]:
        """The names of results beside those of `fields`."""
        if self.value_field is None:
            return ("count", "batch_size")
        return _RESULTS if self.compute_mean else _RESULTS[:-1]

    @model_validator(mode="after")
    def _names_are_different(self) -> BatchStatsOptions:
        for name in self.groups:
            if name in (*_RESULTS, *_SKIPPED):
                raise ValueError(f"group_by: {name!r} is the name of a result; rename the field before")
        names = [*self.groups, *(f"{field}_{measure}" for field in self.fields for measure in self.fields[field])]
        for name in names:
            if names.count(name) > 1 or name in (*_RESULTS, *_SKIPPED):
                raise ValueError(f"fields: two results would be called {name!r}; rename a field before")
        if self.value_field is None and not self.fields and not self.groups:
            raise ValueError("nothing to count: give value_field, fields or group_by")
        return self


class BatchStats(Aggregation):
    """Gives count, sum and mean of a field, and measures of others: one row for the batch, or one per group.

    Groups come in order of first appearance. `count` is how many numbers there were, or without `value_field` how many
    rows, `batch_size` how many rows. Where rows did not count, `skipped_missing` and `skipped_non_finite` say how many,
    and `..._indices` their places in the batch, from 0. Sums are exact: whole numbers stay whole, and a sum with floats
    is rounded once, at its end, whatever the order of the rows.
    """

    name: ClassVar[str] = "batch_stats"
    output_modes: ClassVar[tuple[str, ...]] = ("transform",)
    Options = BatchStatsOptions
    options: BatchStatsOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row | Made]:
        """The result rows.

        Raises `RowError` for a missing field, a value of a wrong type, a group without a number, a sum out of range.
        """
        groups = self.options.groups
        names: dict[Any, Row] = {}
        members: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            group = {name: value_of(row, name, index) for name in groups}
            key = tuple(map(identity_of, group.values()))
            names.setdefault(key, group)
            members.setdefault(key, []).append(index)
        results = {key: self._result(rows, members[key], names[key]) for key in members}
        if not groups:
            return list(results.values())
        return [Made(result, of=members[key]) for key, result in results.items()]

    def fields_in(self) -> frozenset[str]:
        """The fields that are measured, and the groups'."""
        value_field = self.options.value_field
        return frozenset((*self.options.groups, *self.options.fields, *([value_field] if value_field else ())))

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The results, whatever there was before."""
        measures = (f"{field}_{measure}" for field, asked in self.options.fields.items() for measure in asked)
        return frozenset((*self.options.own, *measures, *self.options.groups))

    def fields_possible(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The results, and those that are there only where values were skipped."""
        return (self.fields_out(fields) or frozenset()) | frozenset(_SKIPPED)

    def _result(self, rows: list[Row], members: list[int], group: Row) -> Row:
        result: Row = {"count": len(members), "batch_size": len(members)}
        if self.options.value_field is not None:
            result = self._of_numbers(self.options.value_field, rows, members)
        for field, measures in self.options.fields.items():
            values = [value_of(rows[place], field, place) for place in members]
            for measure in measures:
                result[f"{field}_{measure}"] = measured(measure, field, values, members)
        return {**result, **group}

    def _of_numbers(self, field: str, rows: list[Row], members: list[int]) -> Row:
        missing: list[int] = []
        wild: list[int] = []
        values: list[int | float] = []
        for place in members:
            value = value_of(rows[place], field, place)
            if value is None:
                missing.append(place)
            elif isinstance(value, float) and not isfinite(value):
                wild.append(place)
            else:
                values.append(number_of(value, field, place))
        if not values:
            raise RowError(f"field {field!r} holds no number{self._where(rows[members[0]])}", field=field)
        try:
            total = exact_sum(values)
            result: Row = {"count": len(values), "sum": total, "batch_size": len(members)}
            if self.options.compute_mean:
                result["mean"] = total / len(values)
        except OverflowError as error:
            raise RowError("the sum is larger than a float can hold", field=field) from error
        for name, skipped in (("skipped_missing", missing), ("skipped_non_finite", wild)):
            if skipped:
                result |= {name: len(skipped), f"{name}_indices": skipped}
        return result

    def _where(self, row: Row) -> str:
        group = ", ".join(repr(row[name])[:80] for name in self.options.groups)
        return f" in the group {group}" if group else ""
