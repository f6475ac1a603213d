"""Repeats each row of a batch as often as the row itself says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.contract import Aggregation, Context, Made, PluginOptions, Row, RowError, Unfit


class BatchReplicateOptions(PluginOptions):
    """How many copies, and up to how many."""

    copies_field: str = Field(default="copies", min_length=1, description="The field that says how many copies.")
    default_copies: int = Field(default=1, ge=0, description="Copies of a row that lacks the field.")
    max_copies: int = Field(
        default=10_000, ge=1, description="Most copies of a row; one that asks for more, or for none, is refused."
    )
    include_copy_index: bool = Field(
        default=True, description="Say in the field `copy_index` which copy it is, counted from 0."
    )

    @model_validator(mode="after")
    def _default_allowed(self) -> BatchReplicateOptions:
        if self.default_copies > self.max_copies:
            raise ValueError(f"default_copies: {self.default_copies} is more than max_copies ({self.max_copies})")
        return self


class BatchReplicate(Aggregation):
    """Repeats each row as often as the row itself says; copies follow one another in the order of the rows."""

    name: ClassVar[str] = "batch_replicate"
    Options = BatchReplicateOptions
    options: BatchReplicateOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Made | Unfit]:
        """All copies; a row with a number of copies that is not allowed is refused alone."""
        result: list[Made | Unfit] = []
        for index, row in enumerate(rows):
            try:
                copies = self._copies(row, index)
            except RowError as error:
                result.append(Unfit(index, error))
                continue
            for copy in range(copies):
                copied = {**row, "copy_index": copy} if self.options.include_copy_index else row.copy()
                result.append(Made(copied, of=(index,)))
        return result

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields, and the copy's number."""
        return fields | {"copy_index"} if self.options.include_copy_index else fields

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types before."""
        return types

    def _copies(self, row: Row, index: int) -> int:
        field = self.options.copies_field
        if field not in row:
            return self.options.default_copies
        value = row[field]
        if type(value) is not int or not 1 <= value <= self.options.max_copies:
            shown = repr(value)[:80]
            raise RowError(
                f"field {field!r} of row {index} of the batch (from 0) is {shown}; "
                f"allowed are whole numbers from 1 to {self.options.max_copies}",
                field=field,
                index=index,
            )
        return value
