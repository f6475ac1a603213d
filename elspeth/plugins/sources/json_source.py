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
from elspeth.plugins.sources.file_options import FileOptions
from elspeth.plugins.sources.files import FileSource
from elspeth.plugins.sources.hashed_file import AT_END, RAW_BYTES, HashedFile
from elspeth.plugins.sources.json_elements import Element, ElementReader, Truncated, Unexpected
from elspeth.plugins.sources.lines import Encoding, Overlong, detect, plain_lines
from elspeth.plugins.sources.one_file import OneFile
from elspeth.schema import RowSchema

_KEYS = re.compile(rb'"\s*:')
_BLANK = b" \t\r\n\v\f"
_MANY_DIGITS = re.compile(rb"\d{19}")
_KINDS = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "an array", type(None): "null"}


class JsonOptions(FileOptions):
    """Options of the json source."""

    format: Literal["json", "jsonl", "concatenated"] | None = Field(
        default=None,
        description="json: one array; jsonl: one object per line; concatenated: objects one behind the other, over any "
        "number of lines, or a single one. By default jsonl for *.jsonl and *.ndjson.",
    )
    data_key: str | None = Field(
        default=None, min_length=1, description="Where the array is in an object, keys with dots between: `data.items`."
    )
    field_mapping: dict[str, str] = Field(default={}, description="New names, {key in the object: name in the row}.")
    encoding: Literal["utf-8", "utf-8-sig"] = Field(default="utf-8", description="JSON is UTF-8; a mark is fine.")
    duplicate_keys: Literal["refuse", "last"] = Field(
        default="refuse", description="An object with a key twice is no row, or has the key's last value."
    )
    max_row_bytes: int = Field(default=16 << 20, gt=0, description="A longer row is invalid; this bounds memory.")

    @model_validator(mode="after")
    def _key_of_an_array(self) -> JsonOptions:
        if self.data_key and (self.by_line or self.format == "concatenated"):
            format = "jsonl" if self.by_line else "concatenated"
            raise ValueError(f"data_key says where an array is; it has no meaning with format {format}")
        return self

    @property
    def by_line(self) -> bool:
        """Whether every line is a row."""
        if self.format is None:
            return self.plain_suffix in (".jsonl", ".ndjson")
        return self.format == "jsonl"


class JsonFile(OneFile):
    """A single file; see `JsonSource`."""

    _decimals: frozenset[str] = frozenset()
    _raw: tuple[bytes, Encoding] | None = None  # the row read last

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        fields = {field.name for field in RowSchema.parse(options.schema_).fields if field.type == "decimal"}
        named = {key for key, name in options.field_mapping.items() if name in fields}
        self._decimals = frozenset(named | (fields - set(options.field_mapping)))

    def describe(self) -> SourceInfo:
        info = super().describe()
        encoding = self._encoding()
        if not self.options.by_line and self.options.format != "concatenated" and info.size_bytes != 0:
            first = self._prefix.head(4096)[encoding.bom_bytes :].lstrip()[:1]
            wanted = b"{" if self.options.data_key else b"["
            if first and first != wanted:
                raise self._no_array(f"it begins with {first.decode('latin-1')!r}")
        return info

    def said_at_end(self) -> str | None:
        return None if self.options.data_key else super().said_at_end()  # what follows the array is not looked at

    def grown(self, cursor: Cursor | None) -> str | None:
        if self.options.by_line or self.options.format == "concatenated":
            return super().grown(cursor)
        if self.options.data_key:
            return None
        offset = self._begins_at() if cursor is None else int(cursor[0])
        size, left = 0, b""
        for block in self._prefix.behind(offset):
            size += len(block)
            left = (left + block.translate(None, _BLANK))[:3]
        closing = b"[]" if cursor is None else b"]"
        return None if left in (b"", closing) or list(cursor or ())[2:] == [AT_END] else self._grown_by(size)

    def _begins_at(self) -> int:
        return self._encoding().bom_bytes

    def _no_rows(self) -> bytes:
        return _BLANK

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        encoding = self._encoding()
        offset, line, *state = cursor or (encoding.bom_bytes, 0)
        with self._prefix.start(offset, at_end=state == [AT_END]) as file:
            if state == [AT_END]:
                return
            if self.options.by_line:
                items = self._lines(file, encoding, offset, line)
            else:
                items = self._elements(file, encoding, line, first=cursor is None)
            mapping = self.options.field_mapping
            yield from ((_mapped(item, self.line(at), mapping), at) for item, at in items) if mapping else items

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
                item = self._row(raw, encoding, line)
            file.mark = offset
            self._unfinished = not ended
            at: list[Any] = [offset, line] if ended else [offset, line, AT_END]
            yield item, at

    def _elements(
        self, file: HashedFile, encoding: Encoding, line: int, *, first: bool
    ) -> Iterator[tuple[Row | Invalid, Cursor]]:
        limit = self.options.max_row_bytes
        reader = ElementReader(file, line, limit)
        in_array = self.options.format != "concatenated"
        try:
            for element in self._in_array(reader, first=first) if in_array else _one_by_one(reader):
                if element.overlong:
                    item: Row | Invalid = _too_long(encoding, element.raw, element.size, limit, element.line)
                else:
                    item = self._row(element.raw, encoding, element.line)
                file.mark = reader.offset
                self._further_lines = reader.line - element.line
                yield item, [reader.offset, reader.line]
        except Unexpected as error:
            line = reader.line + 1
            raw = encoding.shown(reader.rest())
            yield Invalid(raw, f"{error}; the rest cannot be read", line), [reader.offset, reader.line, AT_END]
        except Truncated as error:
            line = error.line or reader.line + 1
            reader.rest()
            yield Invalid(encoding.shown(error.head), f"the file {error}", line), [reader.offset, reader.line, AT_END]

    def _in_array(self, reader: ElementReader, *, first: bool) -> Iterator[Element]:
        """The elements of the array that is entered first, or of the one in which the reader stands."""
        if first:
            self._enter(reader)
            if reader.peek() == b"]":
                reader.expect(b"]", "a closing bracket")
                self._nothing_follows(reader)
                return
        while first or reader.expect(b",]", "a comma or the closing bracket") == b",":
            first = False
            yield reader.element()
        self._nothing_follows(reader)

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

    def _row(self, raw: bytes, encoding: Encoding, line: int) -> Row | Invalid:
        self._raw = raw, encoding
        item = _row(raw, encoding, line)
        if item.__class__ is dict and self.options.duplicate_keys == "refuse":
            twice = _twice(raw, item)
            if twice is not None:
                return Invalid(encoding.shown(raw), f"has the key {twice!r} twice", line)
        if self._decimals and isinstance(item, dict):
            item = _with_digits(item, raw, self._decimals)
        keep = self.options.raw
        if keep is not None and isinstance(item, dict):
            if keep in item:
                return Invalid(encoding.shown(raw), f"has the field {keep!r}, which the option raw wants for it", line)
            item[keep] = encoding.line(raw)
        return item

    def raw(self) -> str | None:
        return self._raw[1].shown(self._raw[0]) if self._raw else None

    def _encoding(self) -> Encoding:
        return detect(self.options.encoding, self._prefix.head(64), self.path)

    def _no_array(self, found: str) -> SettingsError:
        key = self.options.data_key
        what = f"no array under '{key}'" if key else "no JSON array"
        return SettingsError(
            f"Source file {self.path} holds {what}: {found}",
            next_step="Set data_key to where the array is, or format: jsonl if every line is an object.",
        )


class JsonSource(FileSource):
    """JSON objects as rows, values as they are; one with a key twice is refused, unless `duplicate_keys` is `last`.

    NaN, infinity and numbers beyond the range of a float are refused; whole numbers keep all their digits, and so do
    those of fields that the schema calls decimal. What is no
    object comes as `Invalid`. An array that ends in the middle, or breaks JSON's grammar between two elements, gives
    its complete elements and then one `Invalid` for the rest. What follows the array under `data_key` is not looked at.
    """

    name = "json"
    one = JsonFile
    Options: ClassVar[type[PluginOptions]] = JsonOptions

    def field_of(self, name: str) -> str:
        return str(self.options.field_mapping.get(name, name))


def _one_by_one(reader: ElementReader) -> Iterator[Element]:
    """Values one behind the other, with any white space between them (concatenated JSON)."""
    while reader.peek():
        yield reader.element()


def _twice(raw: bytes, row: Any) -> str | None:
    """A key that stands twice in one of the objects of this text, of which `row` is the value.

    Every key is a quote and a colon, so where there are no more of these than keys, none was lost.
    """
    if len(_KEYS.findall(raw)) == _keys(row):
        return None
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        names = dict(items)
        if len(names) < len(items):
            found.extend(name for place, (name, _) in enumerate(items) if name in dict(items[:place]))
        return names

    json.loads(raw, object_pairs_hook=pairs)
    return found[0] if found else None


def _keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(_keys(item) for item in value.values() if item.__class__ in (dict, list))
    return sum(_keys(item) for item in value if item.__class__ in (dict, list))


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


def _with_digits(row: Row, raw: bytes, fields: frozenset[str]) -> Row:
    """The row with the numbers of these fields as the text that they are written as: a float has lost digits."""
    lossy = [name for name in fields if row.get(name).__class__ is float]
    if not lossy:
        return row
    written = json.loads(raw, parse_float=str)
    return row | {name: written[name] for name in lossy}


def _too_long(encoding: Encoding, head: bytes, size: int, limit: int, line: int) -> Invalid:
    return Invalid(encoding.shown(head[:RAW_BYTES]), f"has {size:,} bytes where max_row_bytes allows {limit:,}", line)


def _mapped(item: Row | Invalid, line: int, mapping: dict[str, str]) -> Row | Invalid:
    """The row with new names; one in which two fields would have the same name is none."""
    if isinstance(item, Invalid):
        return item
    row = {mapping.get(name, name): value for name, value in item.items()}
    if len(row) == len(item):
        return row
    names = [mapping.get(name, name) for name in item]
    twice = next(name for name in names if names.count(name) > 1)
    return Invalid(
        json.dumps(item, ensure_ascii=False), f"has two fields that field_mapping calls '{twice}'", line, item
    )
