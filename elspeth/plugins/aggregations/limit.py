"""Lets a number of rows of a batch through."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar

from pydantic import Field

from elspeth.plugins.aggregations.measures import identity_of, value_of
from elspeth.plugins.contract import Aggregation, Context, Made, PluginOptions, Row
from elspeth.plugins.typed_fields import TypedFields


class LimitOptions(PluginOptions):
    """How many rows go on."""

    count: int = Field(ge=1, description="How many rows of the batch go on, or of each group.")
    offset: int = Field(default=0, ge=0, description="How many are passed over before them.")
    group_by: tuple[Annotated[str, Field(min_length=1)], ...] = Field(
        default=(), description="Fields: rows that agree in them are counted apart."
    )


class Limit(Aggregation):
    """Lets the first rows of a batch through, or of each group in it; the others end with the batch.

    Behind `sort`, these are the greatest or the least.
    """

    name: ClassVar[str] = "limit"
    output_modes: ClassVar[tuple[str, ...]] = ("transform",)
    Options = LimitOptions
    options: LimitOptions

    def __init__(self, options: LimitOptions) -> None:
        super().__init__(options)
        self._typed = TypedFields({})

    def setup(self, ctx: Context) -> None:
        """Takes the types of the fields."""
        self._typed = TypedFields(ctx.types)

    def process(self, rows: list[Row], ctx: Context) -> list[Made]:
        """The rows that go on. Raises `RowError` for a row that lacks a field of `group_by`."""
        options, seen = self.options, dict[Any, int]()
        kept = []
        for place, row in enumerate(rows):
            key = tuple(identity_of(self._typed.same(name, value_of(row, name, place))) for name in options.group_by)
            number = seen[key] = seen.get(key, 0) + 1
            if options.offset < number <= options.offset + options.count:
                kept.append(Made(row, of=(place,)))
        return kept

    def fields_in(self) -> frozenset[str]:
        """The fields by which rows are grouped."""
        return frozenset(self.options.group_by)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields."""
        return fields

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before."""
        return types
