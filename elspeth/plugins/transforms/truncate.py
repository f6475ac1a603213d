"""Cuts texts to a length."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform


class TruncateOptions(PluginOptions):
    """`fields` says how long which field may be."""

    fields: dict[str, Annotated[int, Field(ge=0)]] = Field(
        min_length=1, description="Longest length of each field, in characters (Unicode code points), suffix included."
    )
    suffix: str = Field(default="", description="What stands at the end of a text that was cut, for example `...`.")
    strict: bool = Field(
        default=False,
        description="Refuse a row that lacks one of the fields or holds something else than text (or null) in it; "
        "otherwise such a field is left as it is.",
    )

    @model_validator(mode="after")
    def _suffix_fits(self) -> TruncateOptions:
        for field, length in self.fields.items():
            if length < len(self.suffix):
                raise ValueError(f"fields.{field}: a length of {length} leaves no room for the suffix {self.suffix!r}")
        return self


class Truncate(Transform):
    """Cuts texts that are longer than allowed."""

    name: ClassVar[str] = "truncate"
    Options = TruncateOptions
    options: TruncateOptions

    def __init__(self, options: TruncateOptions) -> None:
        super().__init__(options)
        self._fields = [(field, length, length - len(options.suffix)) for field, length in options.fields.items()]

    def process(self, row: Row, ctx: Context) -> Row:
        """The row with cut texts. Raises `RowError` for a missing field or a value that is no text if `strict`."""
        strict = self.options.strict
        out = row
        for field, length, kept in self._fields:
            value = row.get(field)
            if isinstance(value, str):
                if len(value) > length:
                    out = row.copy() if out is row else out
                    out[field] = value[:kept] + self.options.suffix
            elif strict and field not in row:
                raise RowError(f"the row has no field {field!r}", field=field, fields=list(row)[:50])
            elif strict and value is not None:
                raise RowError(f"field {field!r} is no text but a {type(value).__name__}", field=field)
        return out

    def fields_in(self) -> frozenset[str]:
        """The fields that a row must have."""
        return frozenset(self.options.fields) if self.options.strict else frozenset()

    def fields_wanted(self) -> frozenset[str]:
        """The fields whose texts are cut."""
        return frozenset(self.options.fields)

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields."""
        return fields | self.fields_in()
