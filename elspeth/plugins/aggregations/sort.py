"""Puts the rows of a batch in order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from elspeth.plugins.aggregations.measures import value_of
from elspeth.plugins.contract import Aggregation, Context, Made, PluginOptions, Row, RowError
from elspeth.plugins.typed_fields import TypedFields


class SortKey(BaseModel):
    """One field to sort by."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    field: str = Field(min_length=1, description="The field whose values are compared.")
    descending: bool = Field(default=False, description="The greatest first.")


class SortOptions(PluginOptions):
    """By what rows are sorted."""

    by: tuple[SortKey, ...] = Field(
        min_length=1, description="Fields, the most important first: a name, or `{field: NAME, descending: true}`."
    )
    nulls: Literal["first", "last"] = Field(default="last", description="Where rows stand that have null there.")

    @field_validator("by", mode="before")
    @classmethod
    def _names_are_keys(cls, value: Any) -> Any:
        listed = value if isinstance(value, list | tuple) else [value]
        return [{"field": key} if isinstance(key, str) else key for key in listed]


class Sort(Aggregation):
    """Puts the rows of a batch in order; rows that are equal there stay in the order in which they came.

    Numbers are compared with numbers and texts with texts, by code points; decimals, dates and times by value; false
    comes before true. A batch in which one field holds several of these, or a list or mapping, is refused, and so is
    one of times with and without an offset. All of a batch is in memory.
    """

    name: ClassVar[str] = "sort"
    output_modes: ClassVar[tuple[str, ...]] = ("transform",)
    Options = SortOptions
    options: SortOptions

    def __init__(self, options: SortOptions) -> None:
        super().__init__(options)
        self._typed = TypedFields({})

    def setup(self, ctx: Context) -> None:
        """Takes the types of the fields."""
        self._typed = TypedFields(ctx.types)

    def process(self, rows: list[Row], ctx: Context) -> list[Made]:
        """The same rows in order. Raises `RowError` for a missing field, and for values that have no order."""
        places = list(range(len(rows)))
        for key in reversed(self.options.by):
            places = self._sorted(rows, places, key)
        return [Made(rows[place], of=(place,)) for place in places]

    def _sorted(self, rows: list[Row], places: list[int], key: SortKey) -> list[int]:
        values = {place: self._typed.value(key.field, value_of(rows[place], key.field, place)) for place in places}
        _require_an_order(values, key.field)
        nulls = [place for place in places if values[place] is None]
        there = [place for place in places if values[place] is not None]
        there.sort(key=values.__getitem__, reverse=key.descending)  # stable in either direction
        return nulls + there if self.options.nulls == "first" else there + nulls

    def fields_in(self) -> frozenset[str]:
        """The fields that are compared."""
        return frozenset(key.field for key in self.options.by)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields."""
        return fields

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before."""
        return types


_TYPED = ("decimal", "date", "time with an offset", "time without an offset")


def _require_an_order(values: dict[int, Any], field: str) -> None:
    first: tuple[int, str] | None = None
    for place in sorted(values):
        kind = _kind(values[place])
        if kind == "null":
            continue
        if kind not in ("number", "text", "bool", *_TYPED):
            reason = f"field {field!r} of row {place} of the batch (from 0) is a {kind}, which has no order"
            raise RowError(reason, field=field, index=place)
        if first is None:
            first = place, kind
        elif kind != first[1]:
            raise RowError(
                f"field {field!r} is a {kind} in row {place} of the batch (from 0) and a {first[1]} in row {first[0]}",
                field=field,
                index=place,
            )


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, datetime):
        return "time with an offset" if value.tzinfo else "time without an offset"
    names = {"int": "number", "float": "number", "str": "text", "dict": "mapping", "Decimal": "decimal"}
    return names.get(type(value).__name__, type(value).__name__)
