"""Refuses rows whose text matches a blocked pattern."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import Field, field_validator

from elspeth.expressions.safe_patterns import compile_safely
from elspeth.plugins.contract import Context, PluginOptions, Row, RowError, Transform

_CONTEXT = 30  # characters shown on both sides of a match


class KeywordFilterOptions(PluginOptions):
    """What is looked for, and where."""

    fields: tuple[str, ...] | None = Field(
        description="The fields to look at, or `all`. Lists and objects in them count too."
    )
    blocked_patterns: tuple[str, ...] = Field(
        min_length=1,
        description="Regular expressions (Python's); `(?i)` at the start ignores case. One that could run away is "
        "refused.",
    )
    max_length: int = Field(
        default=20_000, ge=1, description="Longest text that is searched, in characters; a longer one is refused."
    )

    @field_validator("fields", mode="before")
    @classmethod
    def _one_or_all(cls, value: Any) -> Any:
        if value in ("all", ["all"]):
            return None
        return (value,) if isinstance(value, str) else value

    @field_validator("blocked_patterns", mode="before")
    @classmethod
    def _one_pattern(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @field_validator("blocked_patterns")
    @classmethod
    def _safe(cls, patterns: tuple[str, ...]) -> tuple[str, ...]:
        for pattern in patterns:
            compile_safely(pattern)
        return patterns


class KeywordFilter(Transform):
    """Refuses rows in which a blocked pattern is found; other rows go on unchanged.

    Texts are searched, also inside lists and objects, and numbers as they are printed. The error names the field and
    the pattern, and shows the match with up to 30 characters before and after it.
    """

    name: ClassVar[str] = "keyword_filter"
    Options = KeywordFilterOptions
    options: KeywordFilterOptions

    def __init__(self, options: KeywordFilterOptions) -> None:
        super().__init__(options)
        self._patterns = [compile_safely(pattern) for pattern in options.blocked_patterns]

    def process(self, row: Row, ctx: Context) -> Row:
        """The row itself. Raises `RowError` for a match, and for a text that is too long to be searched."""
        for field in row if self.options.fields is None else self.options.fields:
            value = row.get(field)
            if type(value) is str:
                self._search(field, value)
            elif value is not None:
                for text in _texts(value):
                    self._search(field, text)
        return row

    def fields_wanted(self) -> frozenset[str]:
        """The fields that are searched, where they are named."""
        return frozenset(self.options.fields or ())

    def fields_out(self, fields: frozenset[str]) -> frozenset[str] | None:
        """The same fields."""
        return fields

    def types_out(self, types: Mapping[str, str]) -> Mapping[str, str]:
        """The same types."""
        return types

    def _search(self, field: str, text: str) -> None:
        if len(text) > self.options.max_length:
            raise RowError(
                f"field {field!r} is {len(text)} characters long; up to {self.options.max_length} are searched",
                field=field,
                length=len(text),
            )
        for pattern in self._patterns:
            match = pattern.search(text)
            if match is not None:
                raise RowError(
                    f"field {field!r} matches the blocked pattern {pattern.pattern!r}",
                    field=field,
                    pattern=pattern.pattern,
                    context=_around(text, match),
                )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, bool):
        return
    elif isinstance(value, int | float):
        yield repr(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)


def _around(text: str, match: re.Match[str]) -> str:
    start, end = max(match.start() - _CONTEXT, 0), min(match.end(), match.start() + 2 * _CONTEXT)
    after = min(end + _CONTEXT, len(text))
    return f"{'…' if start else ''}{text[start:after]}{'…' if after < len(text) else ''}"
