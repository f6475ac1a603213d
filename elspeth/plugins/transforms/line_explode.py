"""Makes one row of each line of a text."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field, model_validator

from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform
from elspeth.plugins.transforms.json_explode import refuse_taken

_LINE_END = re.compile(r"\r\n|\n|\r")


class LineExplodeOptions(PluginOptions):
    """Which text is taken apart, and where its lines go."""

    source_field: str = Field(min_length=1, description="The field that holds the text; it is not in the new rows.")
    output_field: str = Field(default="line", min_length=1, description="The field that gets the line.")
    include_index: bool = Field(default=True, description="Say in each row which line it was.")
    index_field: str = Field(
        default="line_index",
        min_length=1,
        description="The field for the line's number, counted from 0; lines that are skipped count.",
    )
    strip: bool = Field(default=False, description="Take white space off both ends of a line.")
    skip_blank: bool = Field(default=False, description="Make no row of a line that holds nothing but white space.")

    max_lines: int | None = Field(
        default=10_000, ge=1, description="Most lines of a text; one with more is refused. null: any number."
    )

    @model_validator(mode="after")
    def _two_fields(self) -> LineExplodeOptions:
        if self.include_index and self.index_field == self.output_field:
            raise ValueError(f"index_field: {self.index_field!r} is the output_field already")
        return self


class LineExplode(Transform):
    """Makes one row of each line of a text, with the other fields repeated; an empty text makes no row.

    Lines end at LF, CR LF or CR; a line end at the very end begins no further line.
    """

    name: ClassVar[str] = "line_explode"
    creates_rows: ClassVar[bool] = True
    Options = LineExplodeOptions
    options: LineExplodeOptions

    def process(self, row: Row, ctx: Context) -> list[Row]:
        """One row per line. Raises `RowError` if there is no text, or if a new field's name is taken."""
        options = self.options
        field = options.source_field
        if field not in row:
            raise RowError(f"the row has no field {field!r}", field=field, fields=list(row)[:50])
        text = row[field]
        if not isinstance(text, str):
            raise RowError(f"field {field!r} is no text but a {type(text).__name__}", field=field)
        rest = {key: value for key, value in row.items() if key != field}
        refuse_taken(rest, options.output_field, options.index_field if options.include_index else None)
        lines = _LINE_END.split(text)
        if not lines[-1]:
            lines.pop()
        if options.max_lines is not None and len(lines) > options.max_lines:
            raise RowError(
                f"field {field!r} has {len(lines)} lines; up to {options.max_lines} are allowed", field=field,
                lines=len(lines),
            )  # fmt: skip
        rows = []
        for index, line in enumerate(lines):
            if options.skip_blank and not line.strip():
                continue
            new = {**rest, options.output_field: line.strip() if options.strip else line}
            if options.include_index:
                new[options.index_field] = index
            rows.append(new)
        return rows

    def fields_in(self) -> frozenset[str]:
        """The text."""
        return frozenset({self.options.source_field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The other fields, the line and its number."""
        return (fields - {self.options.source_field}) | set(self._added())

    def fields_order(self, order: tuple[str, ...]) -> tuple[str, ...] | None:
        """The other fields where they were; behind them the line and its number."""
        return (*(name for name in order if name != self.options.source_field), *self._added())

    def _added(self) -> tuple[str, ...]:
        options = self.options
        return (options.output_field, options.index_field) if options.include_index else (options.output_field,)
