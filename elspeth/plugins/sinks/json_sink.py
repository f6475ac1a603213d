"""The `json` sink: rows as one JSON array, or as JSON lines."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator

from elspeth.plugins.contract import Position, Row, RowError
from elspeth.plugins.sinks.existing import last_bytes
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions

# Only what JSON has: anything else is the row's failure, not something to be turned into text.
_STRICT = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS


class JsonSinkOptions(FileSinkOptions):
    """Options of the `json` sink."""

    format: Literal["json", "jsonl"] | None = Field(
        None, description="`json` for one array, `jsonl` for a line per row; left out, the file's ending says it."
    )
    indent: int | None = Field(None, ge=0, le=16, description="Spread each element of an array over lines.")
    encoding: Literal["utf-8"] = Field("utf-8", description="JSON is UTF-8 (RFC 8259).")

    @property
    def lines(self) -> bool:
        """True for JSON lines."""
        if self.format is None:
            return self.plain_suffix in (".jsonl", ".ndjson")
        return self.format == "jsonl"

    @model_validator(mode="after")
    def _consistent(self) -> JsonSinkOptions:
        if self.mode == "append" and not self.lines:
            raise ValueError("mode: append needs format: jsonl, because an array that was closed has no end to go on")
        if self.indent is not None and self.lines:
            raise ValueError("indent is for format: json; with jsonl every row is one line")
        return self


class JsonSink(FileSink):
    """Writes JSON. An array has one element per line, and is `[]` if no row came.

    Keys keep the row's order. NaN, infinity and text that is not Unicode are refused. Integers of any size are kept.
    """

    name = "json"
    Options = JsonSinkOptions
    options: JsonSinkOptions

    def __init__(self, options: JsonSinkOptions) -> None:
        super().__init__(options)
        self._array = not options.lines
        self._line_end_due = False
        self._any = False

    def write(self, rows: list[Row]) -> list[str | None]:
        """Write rows in order; see `Sink.write`. Raises `Temporary` or `OutputDamaged`."""
        answers: list[str | None] = []
        elements: list[bytes] = []
        names = self._names()
        for row in rows:
            try:
                elements.append(self._element(_renamed(row, names) if names else row))
                answers.append(None)
            except RowError as error:
                answers.append(error.reason)
        if elements:
            self.put(self._before() + (b",\n" if self._array else b"\n").join(elements) + self._after(), len(elements))
            self._any = True
        return answers

    def first_state(self, position: Position) -> dict[str, Any]:
        """For `append`: whether the last line there still wants its end."""
        if position["size"] == 0 or not self.options.appends:
            return {}
        return {} if last_bytes(self.options.path, self.options.kind, 1) in (b"", b"\n") else {"line_end_due": True}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back whether an element stands before the position."""
        self._any = bool(state.get("any"))
        self._line_end_due = bool(state.get("line_end_due"))

    def state(self) -> dict[str, Any]:
        """Whether an element stands before the position: the next one needs a comma then."""
        due = {"line_end_due": True} if self._line_end_due and not self._any else {}
        return {"any": self._any, **due}

    def closing(self) -> bytes:
        """The end of the array."""
        if not self._array:
            return b""
        return b"\n]\n" if self._any else b"[]\n"

    def _before(self) -> bytes:
        if self._array:
            return b",\n" if self._any else b"[\n"
        return b"\n" if self._line_end_due and not self._any else b""

    def _after(self) -> bytes:
        return b"" if self._array else b"\n"

    def _element(self, row: Row) -> bytes:
        indent = self.options.indent
        if indent is None:
            try:
                data = orjson.dumps(row, option=_STRICT)
            except orjson.JSONEncodeError:
                return _by_the_book(row, None)
            # orjson writes null for what is no number, so a null is looked at again.
            if b"null" in data:
                _require_finite(row, "")
            return data
        lines = _by_the_book(row, indent).split(b"\n")
        return b"\n".join(b" " * indent + line for line in lines)

    def _names(self) -> dict[str, str]:
        headers = self.options.headers
        return self._context.headers if headers == "original" else headers if isinstance(headers, dict) else {}


def _by_the_book(row: Row, indent: int | None) -> bytes:
    """The element as the standard library writes it: slower, and for integers of any size."""
    separators = (",", ":") if indent is None else (",", ": ")
    try:
        _require_finite(row, "")
        return json.dumps(row, ensure_ascii=False, allow_nan=False, separators=separators, indent=indent).encode()
    except UnicodeEncodeError as error:
        raise RowError(f"the row holds {error.object[error.start]!r}, which is not Unicode text") from None
    except (TypeError, ValueError, RecursionError) as error:
        raise RowError(f"the row cannot be written as JSON: {error}") from None


def _require_finite(value: Any, place: str) -> None:
    if isinstance(value, float) and not isfinite(value):
        raise RowError(f"field {place} holds {value}, which JSON has no number for")
    if isinstance(value, dict):
        for key, inner in value.items():
            _require_finite(inner, f"{place}.{key}" if place else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            _require_finite(inner, f"{place}[{index}]")


def _renamed(row: Row, names: dict[str, str]) -> Row:
    renamed = {names.get(key, key): value for key, value in row.items()}
    if len(renamed) < len(row):
        raise RowError("two fields of the row would have the same name")
    return renamed
