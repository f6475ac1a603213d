"""The pages of a report: lines, so many to a page, between a title and a footer that know the page's number."""

from __future__ import annotations

import re
from typing import Any

from elspeth.plugins.contract import Row, RowError

PAGE_FIELDS = frozenset({"page", "pages", "line_count", "text"})
"""What a page has."""

_PLACE = re.compile(r"\{(page|pages)\}")


def pages(rows: list[Row], field: str, size: int, title: str, footer: str) -> list[Row]:
    """A row per page of `size` lines. A text of several lines gives several, a number or a truth value one.

    Raises `RowError` if a row lacks the field, or holds a list or an object in it.
    """
    lines = [line for index, row in enumerate(rows) for line in _lines(row, field, index)]
    parts = [lines[start : start + size] for start in range(0, len(lines), size)]
    return [
        {
            "page": page,
            "pages": len(parts),
            "line_count": len(part),
            "text": _page(part, page, len(parts), title, footer),
        }
        for page, part in enumerate(parts, 1)
    ]


def _lines(row: Row, field: str, index: int) -> list[str]:
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


def _page(lines: list[str], page: int, pages: int, title: str, footer: str) -> str:
    numbers = {"page": str(page), "pages": str(pages)}
    above, below = (_PLACE.sub(lambda place: numbers[place[1]], text) for text in (title, footer))
    return "\n".join([*([above, ""] if above else []), *lines, *(["", below] if below else [])])
