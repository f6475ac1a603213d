"""A transform: hides all but the beginning of texts that not everybody should read."""

from __future__ import annotations

from pydantic import Field

from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform


class MaskOptions(PluginOptions):
    """Options of the `mask` transform."""

    fields: tuple[str, ...] = Field(min_length=1, description="The fields to mask; each must hold text.")
    keep: int = Field(1, ge=0, description="How many characters stay readable.")


class Mask(Transform):
    """Replaces the characters of a text with stars, but for the first few."""

    name = "mask"
    Options = MaskOptions
    options: MaskOptions

    def process(self, row: Row, ctx: Context) -> Row:
        """A new row with masked fields. The row it was given belongs to Elspeth and stays as it is."""
        masked = dict(row)
        for field in self.options.fields:
            value = row.get(field)
            if not isinstance(value, str):
                raise RowError(f"field {field!r} holds no text", field=field)
            keep = self.options.keep
            masked[field] = value[:keep] + "*" * (len(value) - keep)
        return masked

    def fields_in(self) -> frozenset[str]:
        """Without these every row is refused, so `validate` can say it before the run."""
        return frozenset(self.options.fields)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str]:
        """The same fields as before."""
        return fields
