"""Rows of a CSV file, as text: to make typed values of it is the row schema's business."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import Field, field_validator

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Cursor, Invalid, PluginOptions, Row, SourceInfo
from elspeth.plugins.sources.csv_records import Broken, RecordFeed
from elspeth.plugins.sources.files import AT_END, HEAD_BYTES, FileOptions, FileSource, HashedFile
from elspeth.plugins.sources.lines import Encoding, check_encoding, detect
from elspeth.schema import lower_headers, normalise_headers

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
    normalize_fields: bool = Field(
        default=False,
        description="Fields are called by their header in lower case, with `_` for what no name has: `Case No.` is "
        "`case_no`. Under `sources:` it is true unless it is given.",
    )
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
    open: bool = False  # whether the header is the last line, and has no end


class CsvSource(FileSource):
    """CSV after RFC 4180 with a header line (or `columns`); strict about quotes, any line end that ends in a line feed.

    Empty lines are passed over. What is no row (wrong number of fields, a stray or unclosed quote, a NUL, bytes that
    are not of the encoding, a row beyond `max_row_bytes`) comes as `Invalid`, and reading goes on behind it. Of a
    record that cannot be completed only the first line is given up.

    The cursor's third item, if it is a number, says before which offset lines are read each for itself.
    """

    name = "csv"
    _taken: list[bytes] = []  # the lines of the row read last
    _encoding: Encoding | None = None
    _end: Cursor | None = None  # behind a header that had no end when reading began
    Options: ClassVar[type[PluginOptions]] = CsvOptions

    def describe(self) -> SourceInfo:
        info = super().describe()
        if self.options.columns is None:
            self._refuse_oddities([])
        headers = self._layout().headers
        if self.options.columns is None:
            self._refuse_oddities(list((headers or {}).values()))
        if headers is not None and self.options.raw is not None:
            headers = {**headers, self.options.raw: self.options.raw}
        return replace(info, headers=headers)

    def _refuse_oddities(self, names: list[str]) -> None:
        """Raise `SettingsError` for what can be read and is hardly meant: CR line ends, another delimiter, `sep=`."""
        options = self.options
        head = self._prefix.head(HEAD_BYTES)
        encoding = detect(options.encoding, head, self.path)
        text = encoding.forgiving(head[encoding.bom_bytes :])
        problem = ""
        if text.startswith("sep=") and not options.skip_rows:
            other = text[4:5].strip() or "tab"
            problem = "begins with Excel's line `sep=`"
            advice = f"Set skip_rows: 1 and delimiter: {other!r}."
        elif "\r" in text and "\n" not in text:
            problem, advice = "ends its lines with a carriage return alone", "Convert it to line feeds: tr '\\r' '\\n'"
        elif len(names) == 1:
            other = next((mark for mark in ";\t|," if mark in names[0] and mark != options.delimiter), "")
            problem = f"has a header of one field, {names[0]!r}, with {other!r} in it" if other else ""
            word = "tab" if other == "\t" else other
            advice = f"Set delimiter: {word!r}. If it is one column, name it with columns and skip_rows: 1."
        if problem:
            raise SettingsError(f"Source file {self.path} {problem}", next_step=advice)

    def raw(self) -> str | None:
        return self._encoding.shown(b"".join(self._taken)) if self._encoding else None

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        layout = self._layout()
        offset, line, *state = cursor or (layout.offset, layout.line)
        if cursor is None and layout.open:
            self._unfinished = True
            self._end = [offset, line, AT_END]
        with self._prefix.start(offset, at_end=state == [AT_END] or self._end is not None) as file:
            if layout.headers is not None and state != [AT_END]:
                yield from self._rows(file, layout, offset, line, state[0] if state else 0)

    def end(self) -> Cursor | None:
        return self._end

    def _begins_at(self) -> int:
        return self._layout().offset

    def _no_rows(self) -> bytes:
        return b"\r\n\0"  # a line of spaces is a row of one field; the NUL is half of a line end in UTF-16

    def _rows(
        self, file: HashedFile, layout: _Layout, offset: int, line: int, apart: int
    ) -> Iterator[tuple[Row | Invalid, Cursor]]:
        assert layout.headers is not None
        names, encoding = tuple(layout.headers), layout.encoding
        keep = self.options.raw
        width, newline, nulls = len(names), encoding.newline, frozenset(self.options.null_values)
        feed = RecordFeed(file, encoding, self.options.max_row_bytes, self._dialect(), apart=apart)
        taken = self._taken = feed.taken
        self._encoding = encoding
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
                self._unfinished = not dropped.ended
                kept: Row = dict.fromkeys(names)
                if keep is not None:
                    kept[keep] = encoding.shown(dropped.raw)
                yield Invalid(encoding.shown(dropped.raw), dropped.problem, line, kept), at
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
            self._unfinished = not ended
            at = [offset, line] if ended and offset >= feed.apart else _cursor(offset, line, feed.apart, ended=ended)
            if len(fields) == width and not feed.flaw:
                row: Row = dict(zip(names, fields, strict=True))
                if nulls and not nulls.isdisjoint(fields):
                    row = {name: None if value in nulls else value for name, value in row.items()}
                if keep is not None:
                    row[keep] = encoding.line(raw)
                yield row, at
            else:
                problem = feed.flaw or f"has {_count(len(fields))} where {width} are expected"
                feed.flaw = ""
                # Whatever is wrong with it, a refused row has all the fields of the header, so that all have one shape.
                kept = dict.fromkeys(names) | (
                    dict(zip(names, fields, strict=False)) if len(raw) <= _FIELDS_BYTES else {}
                )
                if keep is not None:
                    kept[keep] = encoding.shown(raw)
                yield Invalid(encoding.shown(raw), problem, line - len(taken) + 1, kept), at

    def _dialect(self) -> dict[str, Any]:
        quote = self.options.quotechar
        quoting = csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE
        return {"delimiter": self.options.delimiter, "quotechar": quote, "quoting": quoting}

    def _layout(self) -> _Layout:
        options = self.options
        file = HashedFile(self.path)
        encoding = detect(options.encoding, file.head(64), self.path)
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
                        header = b"".join(feed.taken)
                        return _Layout(
                            encoding, self._headers(fields), feed.offset + len(header), line + len(feed.taken),
                            not header.endswith(encoding.newline),
                        )  # fmt: skip
            except (csv.Error, Broken, ValueError) as error:
                raise SettingsError(
                    f"Source file {self.path}: its header, in line {line + 1}, cannot be used: {error}",
                    next_step="Correct the header, or set skip_rows, columns, delimiter or encoding of the source.",
                ) from error
        return _Layout(encoding, None, encoding.bom_bytes, 0)

    def _headers(self, found: Sequence[str]) -> dict[str, str]:
        mapping = self.options.field_mapping
        headers = lower_headers(found) if self.options.normalize_fields else normalise_headers(found)
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
        if self.options.raw in renamed:
            raise ValueError(f"the option raw wants a field '{self.options.raw}', and there is one already")
        return renamed


def _cursor(offset: int, line: int, apart: int, *, ended: bool) -> list[Any]:
    if not ended:
        return [offset, line, AT_END]
    return [offset, line, apart] if offset < apart else [offset, line]


def _count(number: int) -> str:
    return "1 field" if number == 1 else f"{number} fields"
