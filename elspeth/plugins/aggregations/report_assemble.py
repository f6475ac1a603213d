"""Puts the lines of a batch together to one report, or to its pages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from elspeth.plugins.aggregations.report_pages import PAGE_FIELDS, pages
from elspeth.plugins.contract import Aggregation, Context, PluginOptions, Row, RowError

_FACTS = {
    "report_format": "the option `format`",
    "report_index": "which of the node's batches it is, from 1; batches that failed are counted",
    "line_start": "which row of all that the node took is the first of this report, from 1",
    "line_end": "which is the last",
    "line_count": "rows of the batch: a row is a line",
    "lines_seen_total": "rows that the node took so far",
    "flush_trigger": "what closed the batch: `count`, `timeout`, `condition` or `end_of_source`",
    "is_end_of_source_report": "whether the end of the input closed it; it did not where the last row filled the batch",
}


class ReportAssembleOptions(PluginOptions):
    """Where the lines are, and how a report looks. With `lines_per_page` a batch becomes pages, else one report."""

    text_field: str = Field(min_length=1, description="The field that holds a line.")
    output_field: str = Field(default="report_body", min_length=1, description="The field for the report.")
    format: Literal["plain_text", "markdown", "html_fragment"] = Field(
        default="plain_text",
        description="`plain_text`: the title, an empty line, the lines; `markdown`: the title as `# title`; "
        "`html_fragment`: the title in `<h1>`, each line in `<p>`, escaped.",
    )
    join_with: str = Field(default="\n", description="What stands between two lines.")
    title: str = Field(
        default="", description="What stands above the lines; on every page, where `{page}` and `{pages}` are filled."
    )
    lines_per_page: int | None = Field(
        default=None,
        ge=1,
        description="Makes pages of so many lines, title and footer on top: a row for each, with `page` (from 1), "
        "`pages`, `line_count` and `text`. A text of several lines counts as several there.",
    )
    footer: str = Field(
        default="",
        description="With `lines_per_page`: last line of every page, after an empty one; filled like the title.",
    )

    @model_validator(mode="after")
    def _one_or_the_other(self) -> ReportAssembleOptions:
        if self.output_field in _FACTS:
            raise ValueError(f"output_field: {self.output_field!r} cannot be used, a report has a field of this name")
        if self.lines_per_page is None and self.footer:
            raise ValueError("footer: stands on pages only; lines_per_page must be given with it")
        if self.lines_per_page is not None:
            for name in ("output_field", "format", "join_with"):
                if getattr(self, name) != type(self).model_fields[name].default:
                    raise ValueError(f"{name}: has no meaning with lines_per_page")
        return self


class ReportAssemble(Aggregation):
    """Puts the lines of a batch together: one row per batch, or with `lines_per_page` one per page."""

    name: ClassVar[str] = "report_assemble"
    counts_batches: ClassVar[bool] = True
    Options = ReportAssembleOptions
    options: ReportAssembleOptions
    result_fields: ClassVar[Mapping[str, str]] = {"report_body": "the report, under `output_field`", **_FACTS}

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        """The report, or its pages. Raises `RowError` where a row has no text in the field."""
        options = self.options
        if options.lines_per_page is not None:
            return pages(rows, options.text_field, options.lines_per_page, options.title, options.footer)
        lines = [_line(row, options.text_field, index) for index, row in enumerate(rows)]
        batch = ctx.batch
        last = batch.rows_before + len(rows)
        return [
            {
                options.output_field: _BODY[options.format](options.title, lines, options.join_with),
                "report_format": options.format,
                "report_index": batch.number,
                "line_start": batch.rows_before + 1,
                "line_end": last,
                "line_count": len(rows),
                "lines_seen_total": last,
                "flush_trigger": batch.trigger,
                "is_end_of_source_report": batch.trigger == "end_of_source",
            }
        ]

    def fields_in(self) -> frozenset[str]:
        """The lines."""
        return frozenset({self.options.text_field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """What a report or a page has."""
        if self.options.lines_per_page is not None:
            return PAGE_FIELDS
        return frozenset({self.options.output_field, *_FACTS})


def _line(row: Row, field: str, index: int) -> str:
    if field not in row:
        raise RowError(f"row {index} of the batch (from 0) has no field {field!r}", field=field, index=index)
    value: Any = row[field]
    if not isinstance(value, str):
        kind = "null" if value is None else type(value).__name__
        raise RowError(
            f"field {field!r} of row {index} of the batch (from 0) is no text but {kind}", field=field, index=index
        )
    return value


def _plain(title: str, lines: list[str], between: str) -> str:
    return (f"{title}\n\n" if title else "") + between.join(lines)


def _markdown(title: str, lines: list[str], between: str) -> str:
    return _plain(f"# {title}" if title else "", lines, between)


def _html(title: str, lines: list[str], between: str) -> str:
    heading = [f"<h1>{escape(title)}</h1>"] if title else []
    return escape(between).join([*heading, *(f"<p>{escape(line)}</p>" for line in lines)])


_BODY: dict[str, Callable[[str, list[str], str], str]] = {
    "plain_text": _plain,
    "markdown": _markdown,
    "html_fragment": _html,
}
