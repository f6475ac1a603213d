"""Makes one row of each item of a list."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform


class JsonExplodeOptions(PluginOptions):
    """Which list is taken apart, and where its items go."""

    array_field: str = Field(min_length=1, description="The field that holds the list; it is not in the new rows.")
    output_field: str = Field(default="item", min_length=1, description="The field that gets the item.")
    include_index: bool = Field(default=True, description="Say in each row which item it was.")
    index_field: str = Field(
        default="item_index", min_length=1, description="The field for the item's number, counted from 0."
    )

    @model_validator(mode="after")
    def _two_fields(self) -> JsonExplodeOptions:
        if self.include_index and self.index_field == self.output_field:
            raise ValueError(f"index_field: {self.index_field!r} is the output_field already")
        return self


class JsonExplode(Transform):
    """Makes one row of each item of a list, with the other fields repeated; an empty list makes no row."""

    name: ClassVar[str] = "json_explode"
    creates_rows: ClassVar[bool] = True
    Options = JsonExplodeOptions
    options: JsonExplodeOptions

    def process(self, row: Row, ctx: Context) -> list[Row]:
        """One row per item. Raises `RowError` if there is no list, or if a new field's name is taken."""
        options = self.options
        if options.array_field not in row:
            raise RowError(
                f"the row has no field {options.array_field!r}", field=options.array_field, fields=list(row)[:50]
            )
        items = row[options.array_field]
        if not isinstance(items, list):
            raise RowError(
                f"field {options.array_field!r} is no list but a {type(items).__name__}", field=options.array_field
            )
        rest = {key: value for key, value in row.items() if key != options.array_field}
        refuse_taken(rest, options.output_field, options.index_field if options.include_index else None)
        if options.include_index:
            return [
                {**rest, options.output_field: item, options.index_field: index} for index, item in enumerate(items)
            ]
        return [{**rest, options.output_field: item} for item in items]

    def fields_in(self) -> frozenset[str]:
        """The list."""
        return frozenset({self.options.array_field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The other fields, the item and its number."""
        return (fields - {self.options.array_field}) | set(self._added())

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """The other fields where they were; behind them the item and its number."""
        return (*(name for name in order if name != self.options.array_field), *self._added())

    def _added(self) -> tuple[str, ...]:
        options = self.options
        return (options.output_field, options.index_field) if options.include_index else (options.output_field,)


def refuse_taken(rest: Row, *names: str | None) -> None:
    """Raise `RowError` if a field that is about to be added exists: what it holds would be lost unseen."""
    for name in names:
        if name in rest:
            raise RowError(f"the row has a field {name!r} already; name the new one differently", field=name)
