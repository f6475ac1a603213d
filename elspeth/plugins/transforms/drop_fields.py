"""Takes fields out of rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform


class DropFieldsOptions(PluginOptions):
    """`fields` are taken out."""

    fields: tuple[str, ...] = Field(min_length=1, description="The fields to take out.")
    strict: bool = Field(
        default=False, description="Refuse a row that lacks one of the fields; otherwise it is left as it is."
    )


class DropFields(Transform):
    """Takes fields out of rows; the others stay as they are, in their order."""

    name: ClassVar[str] = "drop_fields"
    Options = DropFieldsOptions
    options: DropFieldsOptions

    def __init__(self, options: DropFieldsOptions) -> None:
        super().__init__(options)
        self._dropped = frozenset(options.fields)

    def process(self, row: Row, ctx: Context) -> Row:
        """The row without the fields. Raises `RowError` for a missing one if `strict`."""
        if self.options.strict:
            for field in self.options.fields:
                if field not in row:
                    raise RowError(f"the row has no field {field!r}", field=field, fields=list(row)[:50])
        dropped = self._dropped
        if dropped.isdisjoint(row):
            return row
        return {name: value for name, value in row.items() if name not in dropped}

    def fields_in(self) -> frozenset[str]:
        """The fields that are taken out, if `strict`."""
        return self._dropped if self.options.strict else frozenset()

    def fields_wanted(self) -> frozenset[str]:
        """The fields that are taken out."""
        return self._dropped

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The fields before, without these."""
        return fields - self._dropped

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The types of fields that are still there."""
        return {name: kind for name, kind in types.items() if name not in self._dropped}
