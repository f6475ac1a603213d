"""Counts and sums the rows of a batch, as a whole or per group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import truediv
from typing import Annotated, Any, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.measures import OF_DATES, Measure, exact_sum, identity_of, measured
from elspeth.plugins.aggregations.statistics.base import Text
from elspeth.plugins.aggregations.statistics.errors import batch_error
from elspeth.plugins.aggregations.statistics.values import (
    Observed,
    check_keys,
    check_numbers,
    check_present,
    observed,
)
from elspeth.plugins.contract import Aggregation, Context, Made, PluginOptions, Row, RowError
from elspeth.plugins.typed_fields import TypedFields

_RESULTS = ("count", "sum", "batch_size", "mean")
_SAME_TYPE = ("sum", "mean", "median", "min", "max", "first", "last")
_SKIPPED = ("skipped_missing", "skipped_missing_indices", "skipped_non_finite", "skipped_non_finite_indices")


class BatchStatsOptions(PluginOptions):
    """What is counted and measured, and for whom."""

    value_field: Text | None = Field(
        default=None,
        description="The field that holds the numbers of `sum` and `mean`; null, NaN and infinity do not count. "
        "Without it, `count` is the number of rows.",
    )
    group_by: Text | Annotated[tuple[Text, ...], Field(min_length=1)] | None = Field(
        default=None, description="A field, or several: one result row for each of their values."
    )
    compute_mean: bool = Field(default=True, description="Say the mean too.")
    fields: dict[Text, Annotated[tuple[Measure, ...], Field(min_length=1)]] = Field(
        default={},
        description="Further fields, each with its measures: `{price: [min, max]}` gives `price_min` and `price_max`. "
        "`min` and `max` are of numbers, texts, dates or times; `sum`, `mean`, `median` and `stdev` (of a sample) of "
        "numbers; `count`, `distinct`, `first` and `last` of any values. Null counts for `first` and `last` only.",
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
    is rounded once, at its end, whatever the order of the rows. Of decimals all but `stdev` is a decimal, a mean that
    does not come out is rounded to 34 digits. Decimals, dates and times are one group if they are equal by value.
    """

    name: ClassVar[str] = "batch_stats"
    output_modes: ClassVar[tuple[str, ...]] = ("transform",)
    Options = BatchStatsOptions
    options: BatchStatsOptions

    def __init__(self, options: BatchStatsOptions) -> None:
        super().__init__(options)
        self._typed = TypedFields({})

    def setup(self, ctx: Context) -> None:
        """Takes the types of the fields."""
        self._typed = TypedFields(ctx.types)

    def process(self, rows: list[Row], ctx: Context) -> list[Row | Made]:
        """The result rows.

        Raises `RowError` for a missing field, a value of a wrong type, a group whose value is not finite, or that holds
        no number, a sum out of range.
        """
        groups, field = self.options.groups, self.options.value_field
        if not rows:
            raise batch_error("empty_batch", "the batch has no row")
        check_present(rows, self.fields_in())
        if field is not None and self._typed.kind(field) is None:
            check_numbers(rows, field)
        for name in groups:
            check_keys(rows, name)
        names: dict[Any, Row] = {}
        members: dict[Any, list[int]] = {}
        for index, row in enumerate(rows):
            group = {name: row[name] for name in groups}
            key = tuple(identity_of(self._typed.same(name, value)) for name, value in group.items())
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
            values = [rows[place][field] for place in members]
            for measure in measures:
                result[f"{field}_{measure}"] = measured(measure, field, values, members, self._typed)
        return {**result, **group}

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """Those of the groups, and of measures that are values of a field or sums of them."""
        typed = TypedFields(types)
        found = {name: typed.kind(name) for name in self.options.groups}
        for field, measures in self.options.fields.items():
            found |= {f"{field}_{measure}": typed.kind(field) for measure in measures if measure in _SAME_TYPE}
        if self.options.value_field is not None and typed.kind(self.options.value_field) == "decimal":
            found |= {"sum": "decimal", "mean": "decimal"}
        return {name: kind for name, kind in found.items() if kind is not None}

    def check_types(self, types: Mapping[str, str]) -> Sequence[tuple[tuple[str | int, ...], str]]:
        """Measures of dates and times that there are not."""
        typed = TypedFields(types)
        problems: list[tuple[tuple[str | int, ...], str]] = []
        for field, measures in self.options.fields.items():
            for place, measure in enumerate(measures):
                if typed.kind(field) in ("date", "datetime") and measure not in OF_DATES:
                    sentence = f"{field!r} is a {typed.kind(field)}, of which there is no {measure}"
                    problems.append((("fields", field, place), f"{sentence}; there are {', '.join(OF_DATES)}"))
        value_field = self.options.value_field
        if value_field is not None and typed.kind(value_field) in ("date", "datetime"):
            sentence = f"{value_field!r} is a {typed.kind(value_field)}, and sums are of numbers"
            problems.append((("value_field",), f"{sentence}; name it in fields, with {', '.join(OF_DATES)}"))
        return problems

    def _of_numbers(self, field: str, rows: list[Row], members: list[int]) -> Row:
        found = observed((place, rows[place][field]) for place in members)
        if not found.values:
            raise self._no_number(field, found, rows[members[0]])
        values, places = found.values, found.indices
        decimals = self._typed.kind(field) is not None
        total = measured("sum", field, values, places, self._typed) if decimals else _held("sum", exact_sum, values)
        result: Row = {"count": len(values), "sum": total, "batch_size": len(members)}
        if self.options.compute_mean and decimals:
            result["mean"] = measured("mean", field, values, places, self._typed)
        elif self.options.compute_mean:
            result["mean"] = _held("mean", truediv, total, len(values))
        for name, skipped in (("skipped_missing", found.missing), ("skipped_non_finite", found.non_finite)):
            if skipped:
                result |= {name: len(skipped), f"{name}_indices": skipped}
        return result

    def _no_number(self, field: str, found: Observed, row: Row) -> RowError:
        group = ", ".join(repr(row[name])[:80] for name in self.options.groups)
        where = f" in the group {group}" if group else ""
        return batch_error("no_finite_values", f"field {field!r} holds no number{where}", found.problems(), field=field)


def _held(operation: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """The result. Raises the batch error `float_overflow` where a float would have to hold it and cannot."""
    try:
        return function(*arguments)
    except OverflowError:
        cause = f"the {operation} is larger than a float can hold"
        raise batch_error("float_overflow", cause, operation=operation) from None
