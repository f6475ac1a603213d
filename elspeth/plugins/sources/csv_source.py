"""Rows of a CSV file, as text: to make typed values of it is the row schema's business."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import Field, field_validator

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Cursor, Invalid, PluginOptions, Row, SourceInfo
from elspeth.plugins.sources.csv_records import Broken, RecordFeed
from elspeth.plugins.sources.files import AT_END, FileOptions, FileSource, HashedFile
from elspeth.plugins.sources.lines import Encoding, check_encoding, detect
from elspeth.schema import normalise_headers

_FIELDS_BYTES = 65536  # of an invalid record longer than this, only its raw beginning is kept


class CsvOptions(FileOptions):
    """Options of the csv source."""

    delimiter: str = Field(default=",", description="One character between fields; `tab` for a tab stop.")
    quotechar: str | None = Field(default='"', description="One character around fields; null if nothing is quoted.")
    encoding: str = Field(
        default="utf-8", description="utf-8, utf-16, latin-1, cp1252, ...; a byte-order mark is fine."
    )
    skip_rows: int = Field(default=0, ge=0, description="Lines to pass over before the header.")
    columns: tuple[str, ...] | None = Field(default=None, description="Names, if the file has no header line.")
    field_mapping: dict[str, str] = Field(default={}, description="New names, {name in the header: name in the row}.")
    null_values: tuple[str, ...] = Field(default=(), description="Texts that stand for a missing value, such as NA.")
    max_row_bytes: int = Field(default=16 << 20, gt=0, description="A longer row is invalid; this bounds memory.")

    @field_validator("delimiter")
    @classmethod
    def _one_delimiter(cls, value: str) -> str:
        value = "\t" if value in ("tab", "\\t") else value
        if len(value) != 1 or value in '\r\n"\0':
            raise ValueError("must be one character, and neither a quote nor a line end")
        return value

    @field_validator("quotechar")
    @classmethod
    def _one_quote(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in "\r\n\0"):
            raise ValueError("must be one character, or null if nothing is quoted")
        return value

    @field_validator("encoding")
    @classmethod
    def _known_encoding(cls, value: str) -> str:
        check_encoding(value)
        return value


@dataclass(frozen=True, slots=True)
class _Layout:
    """What is known before the first row: where it begins, and what its fields are called."""

    encoding: Encoding
    headers: dict[str, str] | None  # None: the file ends before a header
    offset: int
    line: int


class CsvSource(FileSource):
    """CSV after RFC 4180 with a header line (or `columns`); strict about quotes, any line end that ends in a line feed.

    Empty lines are passed over. What is no row (wrong number of fields, a stray or unclosed quote, a NUL, bytes that
    are not of the encoding, a row beyond `max_row_bytes`) comes as `Invalid`, and reading goes on behind it. Of a
    record that cannot be completed only the first line is given up.

    The cursor's third item, if it is a number, says before which offset lines are read each for itself.
    """

    name = "csv"
    Options: ClassVar[type[PluginOptions]] = CsvOptions

    def describe(self) -> SourceInfo:
        size = self._prefix.size()
        return SourceInfo(size_bytes=size, files=(self.path,), headers=self._layout().headers)

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        layout = self._layout()
        offset, line, *state = cursor or (layout.offset, layout.line)
        with self._prefix.start(offset, at_end=state == [AT_END]) as file:
            if layout.headers is not None and state != [AT_END]:
                yield from self._rows(file, layout, offset, line, state[0] if state else 0)

    def _rows(
        self, file: HashedFile, layout: _Layout, offset: int, line: int, apart: int
    ) -> Iterator[tuple[Row | Invalid, Cursor]]:
        assert layout.headers is not None
        names, encoding = tuple(layout.headers), layout.encoding
        width, newline, nulls = len(names), encoding.newline, frozenset(self.options.null_values)
        feed = RecordFeed(file, encoding, self.options.max_row_bytes, self._dialect(), apart=apart)
        taken = feed.taken
        records = feed.records()
        at: Cursor
        while True:
            taken.clear()
            try:
                fields = next(records)
            except StopIteration:
                return
            except (csv.Error, Broken) as error:
                dropped = feed.drop(error)
                records = feed.records()
                offset += dropped.size
                line += 1
                self._further_lines = 0
                feed.offset = file.mark = offset
                at = _cursor(offset, line, feed.apart, ended=dropped.ended)
                yield Invalid(encoding.shown(dropped.raw), dropped.problem, line), at
                continue
            raw = taken[0] if len(taken) == 1 else b"".join(taken)
            offset += len(raw)
            line += len(taken)
            feed.offset = offset
            if not fields:
                continue
            file.mark = offset
            self._further_lines = len(taken) - 1
            ended = raw.endswith(newline)
            at = [offset, line] if ended and offset >= feed.apart else _cursor(offset, line, feed.apart, ended=ended)
            if len(fields) == width and not feed.flaw:
                row: Row = dict(zip(names, fields, strict=True))
                if nulls and not nulls.isdisjoint(fields):
                    row = {name: None if value in nulls else value for name, value in row.items()}
                yield row, at
            else:
                problem = feed.flaw or f"has {_count(len(fields))} where {width} are expected"
                feed.flaw = ""
                kept = dict(zip(names, fields, strict=False)) if len(raw) <= _FIELDS_BYTES else None
                yield Invalid(encoding.shown(raw), problem, line - len(taken) + 1, kept), at

    def _dialect(self) -> dict[str, Any]:
        quote = self.options.quotechar
        quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        return {"delimiter": self.options.delimiter, "quotechar": quote, "quoting": quoting}

    def _layout(self) -> _Layout:
        options = self.options
        file = HashedFile(self.path)
        encoding = detect(options.encoding, file.head(4), self.path)
        line = 0
        with file.start(encoding.bom_bytes):
            feed = RecordFeed(file, encoding, options.max_row_bytes, self._dialect())
            try:
                line = feed.skip(options.skip_rows)
                if options.columns is not None:
                    return _Layout(encoding, self._headers(options.columns), feed.offset, line)
                for fields in feed.records():
                    if feed.flaw:
                        raise Broken(feed.flaw)
                    if fields:
                        offset = feed.offset + sum(map(len, feed.taken))
                        return _Layout(encoding, self._headers(fields), offset, line + len(feed.taken))
            except (csv.Error, Broken, ValueError) as error:
                raise SettingsError(
                    f"Source file {self.path}: its header, in line {line + 1}, cannot be used: {error}",
                    next_step="Correct the header, or set skip_rows, columns, delimiter or encoding of the source.",
                ) from error
        return _Layout(encoding, None, encoding.bom_bytes, 0)

    def _headers(self, found: Sequence[str]) -> dict[str, str]:
        mapping = self.options.field_mapping
        headers = normalise_headers(found)
        known = {*headers, *headers.values()}
        for name in mapping:
            if name not in known:
                raise ValueError(f"field_mapping names '{name}', which is not in the header ({', '.join(found)})")
        renamed: dict[str, str] = {}
        for name, original in headers.items():
            new = mapping.get(original, mapping.get(name, name))
            if new in renamed:
                raise ValueError(f"'{renamed[new]}' and '{original}' are both called '{new}' by field_mapping")
            renamed[new] = original
        return renamed


def _cursor(offset: int, line: int, apart: int, *, ended: bool) -> list[Any]:
    if not ended:
        return [offset, line, AT_END]
    return [offset, line, apart] if offset < apart else [offset, line]


def _count(number: int) -> str:
    return "1 field" if number == 1 else f"{number} fields"
