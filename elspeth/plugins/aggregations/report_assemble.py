"""Puts the lines of a batch together to the pages of a report."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from pydantic import Field

from elspeth.plugins.contract import Aggregation, Context, PluginOptions, Row, RowError

_PLACE = re.compile(r"\{(page|pages)\}")


class ReportAssembleOptions(PluginOptions):
    """Where the lines are, and how a page looks."""

    text_field: str = Field(
        default="line", min_length=1, description="The field that holds a line; a text of several lines gives several."
    )
    lines_per_page: int = Field(
        default=50, ge=1, description="Lines of the rows on a page; title and footer come on top."
    )
    title: str = Field(
        default="", description="First line of every page, followed by an empty one; `{page}` and `{pages}` are filled."
    )
    footer: str = Field(default="", description="Last line of every page, after an empty one; filled like the title.")


class ReportAssemble(Aggregation):
    """Puts lines together to pages: one row per page with `page` (from 1), `pages`, `line_count` and `text`."""

    name: ClassVar[str] = "report_assemble"
    Options = ReportAssembleOptions
    options: ReportAssembleOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        """The pages. Raises `RowError` if a row lacks the field, or holds a list or an object in it."""
        size = self.options.lines_per_page
        lines = [line for index, row in enumerate(rows) for line in self._lines(row, index)]
        parts = [lines[start : start + size] for start in range(0, len(lines), size)]
        return [
            {"page": page, "pages": len(parts), "line_count": len(part), "text": self._page(part, page, len(parts))}
            for page, part in enumerate(parts, 1)
        ]

    def fields_in(self) -> frozenset[str]:
        """The lines."""
        return frozenset({self.options.text_field})

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """What a page has."""
        return frozenset({"page", "pages", "line_count", "text"})

    def _lines(self, row: Row, index: int) -> list[str]:
        field = self.options.text_field
        if field not in row:
            raise RowError(f"row {index} of the batch (from 0) has no field {field!r}", field=field, index=index)
        value: Any = row[field]
        if isinstance(value, list | dict):
            raise RowError(
                f"field {field!r} of row {index} of the batch (from 0) is no text but a {type(value).__name__}",
                field=field,
                index=index,
            )
        if value is None:
            return [""]
        text = ("true" if value else "false") if isinstance(value, bool) else str(value)
        return re.split(r"\r\n|\n|\r", text)

    def _page(self, lines: list[str], page: int, pages: int) -> str:
        numbers = {"page": str(page), "pages": str(pages)}
        title, footer = (
            _PLACE.sub(lambda place: numbers[place[1]], text) for text in (self.options.title, self.options.footer)
        )
        return "\n".join([*([title, ""] if title else []), *lines, *(["", footer] if footer else [])])
