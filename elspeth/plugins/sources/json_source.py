"""Rows of a JSON file: the objects of an array, or one object per line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import orjson
from pydantic import Field, model_validator

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Cursor, Invalid, PluginOptions, Row, SourceInfo
from elspeth.plugins.sources.files import AT_END, RAW_BYTES, FileOptions, FileSource, HashedFile
from elspeth.plugins.sources.json_elements import ElementReader, Truncated, Unexpected
from elspeth.plugins.sources.lines import Encoding, Overlong, detect, plain_lines

_MANY_DIGITS = re.compile(rb"\d{19}")
_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "an array", type(None): "null"}


class JsonOptions(FileOptions):
    """Options of the json source."""

    format: Literal["json", "jsonl"] | None = Field(
        default=None,
        description="json: one array; jsonl: one object per line. By default jsonl for *.jsonl and *.ndjson.",
    )
    data_key: str | None = Field(
        default=None, min_length=1, description="Where the array is in an object, keys with dots between: `data.items`."
    )
    encoding: Literal["utf-8", "utf-8-sig"] = Field(default="utf-8", description="JSON is UTF-8; a mark is fine.")
    max_row_bytes: int = Field(default=16 << 20, gt=0, description="A longer row is invalid; this bounds memory.")

    @model_validator(mode="after")
    def _key_of_an_array(self) -> JsonOptions:
        if self.data_key and self.by_line:
            raise ValueError("data_key says where an array is; it has no meaning with format jsonl")
        return self

    @property
    def by_line(self) -> bool:
        """Whether every line is a row."""
        if self.format is None:
            return self.path.suffix.lower() in (".jsonl", ".ndjson")
        return self.format == "jsonl"


class JsonSource(FileSource):
    """JSON objects as rows, values as they are; a key that appears twice has its last value.

    NaN, infinity and numbers beyond the range of a float are refused; whole numbers keep all their digits. What is no
    object comes as `Invalid`. An array that ends in the middle, or breaks JSON's grammar between two elements, gives
    its complete elements and then one `Invalid` for the rest. What follows the array under `data_key` is not looked at.
    """

    name = "json"
    Options: ClassVar[type[PluginOptions]] = JsonOptions

    def describe(self) -> SourceInfo:
        info = super().describe()
        if not self.options.by_line and info.size_bytes:
            encoding = self._encoding()
            first = self._prefix.head(4096)[encoding.bom_bytes :].lstrip()[:1]
            wanted = b"{" if self.options.data_key else b"["
            if first and first != wanted:
                raise self._no_array(f"it begins with {first.decode('latin-1')!r}")
        return info

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        encoding = self._encoding()
        offset, line, *state = cursor or (encoding.bom_bytes, 0)
        with self._prefix.start(offset, at_end=state == [AT_END]) as file:
            if state == [AT_END]:
                return
            if self.options.by_line:
                yield from self._lines(file, encoding, offset, line)
            else:
                yield from self._elements(file, encoding, line, first=cursor is None)

    def _lines(
        self, file: HashedFile, encoding: Encoding, offset: int, line: int
    ) -> Iterator[tuple[Row | Invalid, Cursor]]:
        limit = self.options.max_row_bytes
        for raw in plain_lines(file, encoding, limit):
            line += 1
            item: Row | Invalid
            if isinstance(raw, Overlong):
                offset += raw.size
                ended = raw.ended
                item = _too_long(encoding, raw.head, raw.size, limit, line)
            else:
                offset += len(raw)
                ended = raw.endswith(b"\n")
                if raw.isspace():
                    continue
                item = _row(raw, encoding, line)
            file.mark = offset
            at: list[Any] = [offset, line] if ended else [offset, line, AT_END]
            yield item, at

    def _elements(
        self, file: HashedFile, encoding: Encoding, line: int, *, first: bool
    ) -> Iterator[tuple[Row | Invalid, Cursor]]:
        limit = self.options.max_row_bytes
        reader = ElementReader(file, line, limit)
        try:
            if first:
                self._enter(reader)
                if reader.peek() == b"]":
                    reader.expect(b"]", "a closing bracket")
                    self._nothing_follows(reader)
                    return
            while first or reader.expect(b",]", "a comma or the closing bracket") == b",":
                first = False
                element = reader.element()
                if element.overlong:
                    item: Row | Invalid = _too_long(encoding, element.raw, element.size, limit, element.line)
                else:
                    item = _row(element.raw, encoding, element.line)
                file.mark = reader.offset
                self._further_lines = reader.line - element.line
                yield item, [reader.offset, reader.line]
            self._nothing_follows(reader)
        except Unexpected as error:
            line = reader.line + 1
            raw = encoding.shown(reader.rest())
            yield Invalid(raw, f"{error}; the rest cannot be read", line), [reader.offset, reader.line, AT_END]
        except Truncated as error:
            line = error.line or reader.line + 1
            reader.rest()
            yield Invalid(encoding.shown(error.head), f"the file {error}", line), [reader.offset, reader.line, AT_END]

    def _enter(self, reader: ElementReader) -> None:
        if self.options.data_key:
            try:
                reader.descend(self.options.data_key.split("."))
            except LookupError as error:
                raise self._no_array(str(error.args[0])) from error
        found = reader.peek()
        if found and found != b"[":
            raise self._no_array(f"{found.decode('latin-1')!r} stands where it should begin")
        reader.expect(b"[", "an array")

    def _nothing_follows(self, reader: ElementReader) -> None:
        if not self.options.data_key and reader.peek():
            raise Unexpected("nothing may follow the array")

    def _encoding(self) -> Encoding:
        return detect(self.options.encoding, self._prefix.head(4), self.path)

    def _no_array(self, found: str) -> SettingsError:
        key = self.options.data_key
        what = f"no array under '{key}'" if key else "no JSON array"
        return SettingsError(
            f"Source file {self.path} holds {what}: {found}",
            next_step="Set data_key to where the array is, or format: jsonl if every line is an object.",
        )


def _row(raw: bytes, encoding: Encoding, line: int) -> Row | Invalid:
    try:
        value = orjson.loads(raw)
        if _MANY_DIGITS.search(raw):
            value = json.loads(raw)  # the fast parser makes floats of whole numbers beyond 64 bits
    except (ValueError, RecursionError) as error:
        return Invalid(encoding.shown(raw), f"is not JSON: {error}", line)
    if value.__class__ is not dict:
        return Invalid(encoding.shown(raw), f"is {_KINDS[type(value)]}, not an object", line)
    row: Row = value
    return row


def _too_long(encoding: Encoding, head: bytes, size: int, limit: int, line: int) -> Invalid:
    return Invalid(encoding.shown(head[:RAW_BYTES]), f"has {size:,} bytes where max_row_bytes allows {limit:,}", line)
