"""Rows of a CSV file, as text: to make typed values of it is the row schema's business."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Cursor, Invalid, PluginOptions, Row, SourceInfo
from elspeth.plugins.sources.csv_records import Broken, RecordFeed
from elspeth.plugins.sources.file_options import FileOptions
from elspeth.plugins.sources.files import FileSource
from elspeth.plugins.sources.hashed_file import AT_END, HashedFile
from elspeth.plugins.sources.lines import Encoding, check_encoding, detect, last_lines_at
from elspeth.plugins.sources.one_file import HEAD_BYTES, OneFile
from elspeth.schema import lower_headers, normalise_headers

REST = "_rest"
"""The field that holds what a row has beyond the header, with `ragged: keep`."""

_FIELDS_BYTES = 65536  # of an invalid record longer than this, only its raw beginning is kept


class CsvOptions(FileOptions):
    """Options of the csv source."""

    delimiter: str = Field(default=",", description="One character between fields; `tab` for a tab stop.")
    quotechar: str | None = Field(default='"', description="One character around fields; null if nothing is quoted.")
    encoding: str = Field(
        default="utf-8", description="utf-8, utf-16, latin-1, cp1252, ...; a byte-order mark is fine."
    )
    skip_rows: int = Field(default=0, ge=0, description="Lines to pass over before the header.")
    skip_footer: int = Field(
        default=0, ge=0, le=1000, description="Lines to pass over at the end of the file, whatever they hold."
    )
    columns: tuple[str, ...] | None = Field(default=None, description="Names, if the file has no header line.")
    normalize_fields: bool = Field(
        default=False,
        description="Fields are called by their header in lower case, with `_` for what no name has: `Case No.` is "
        "`case_no`. Under `sources:` it is true unless it is given.",
    )
    field_mapping: dict[str, str] = Field(default={}, description="New names, {name in the header: name in the row}.")
    null_values: tuple[str, ...] = Field(default=(), description="Texts that stand for a missing value, such as NA.")
    initial_space: bool = Field(
        default=False, description='Pass over blanks behind a delimiter: `1, "a, b"` is two fields.'
    )
    escapechar: str | None = Field(
        default=None, description="One character behind which the next one is taken as it is, a quote too."
    )
    comment: str | None = Field(
        default=None, min_length=1, description="Lines that begin so are passed over, `#` for example."
    )
    line_end: Literal["lf", "cr"] = Field(
        default="lf", description="What ends a line: a line feed, with or without a carriage return, or that alone."
    )
    ragged: Literal["refuse", "pad", "cut", "keep"] = Field(
        default="refuse",
        description="A row with another number of fields than the header is refused; or, with pad, has nulls where it "
        "is too short; with cut, loses besides what is too many; with keep, has that in the list `_rest`.",
    )
    on_drift: Literal["refuse", "warn", "take"] = Field(
        default="refuse",
        description="What becomes of files whose header has other fields than that of the first: they are refused "
        "before anything is written, or read with the fields they have, which is said or not.",
    )
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

    @field_validator("escapechar")
    @classmethod
    def _one_escape(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in "\r\n\0"):
            raise ValueError("must be one character, and no line end")
        return value

    @model_validator(mode="after")
    def _marks_differ(self) -> CsvOptions:
        marks = [mark for mark in (self.delimiter, self.quotechar, self.escapechar) if mark is not None]
        if len(set(marks)) < len(marks):
            raise ValueError("delimiter, quotechar and escapechar must be different characters")
        return self

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


class CsvFile(OneFile):
    """A single file; see `CsvSource`."""

    _taken: list[bytes] = []  # the lines of the row read last
    _encoding: Encoding | None = None
    _end: Cursor | None = None  # behind a header that had no end when reading began

    def describe(self) -> SourceInfo:
        info = super().describe()
        if self.options.columns is None:
            self._refuse_oddities([])
        headers = self._layout().headers
        if self.options.columns is None:
            self._refuse_oddities(list((headers or {}).values()))
        if headers is not None and self.options.ragged == "keep":
            headers = {**headers, REST: REST}
        if headers is not None and self.options.raw is not None:
            headers = {**headers, self.options.raw: self.options.raw}
        lacks_header = headers is None and info.size_bytes != 0
        if lacks_header and self.options.on_empty == "refuse":
            raise SettingsError(
                f"Source file {self.path} ends before a header, so no row can come, and its on_empty is refuse",
                next_step="Put the input there, skip fewer rows (skip_rows), or set on_empty: warn.",
                option=("on_empty",),
            )
        return replace(info, headers=headers, lacks_header=lacks_header)

    def _refuse_oddities(self, names: list[str]) -> None:
        """Raise `SettingsError` for what can be read and is hardly meant: CR line ends, another delimiter, `sep=`."""
        options = self.options
        head = self._prefix.head(HEAD_BYTES)
        encoding = detect(options.encoding, head, self.path)
        text = encoding.forgiving(head[encoding.bom_bytes :])
        problem, option = "", "delimiter"
        if text.startswith("sep=") and not options.skip_rows:
            other = text[4:5].strip() or "tab"
            problem = "begins with Excel's line `sep=`"
            advice = f"Set skip_rows: 1 and delimiter: {other!r}."
        elif "\r" in text and "\n" not in text and options.line_end == "lf":
            problem, advice = "ends its lines with a carriage return alone", "Set line_end: cr."
            option = "line_end"
        elif len(names) == 1:
            other = next((mark for mark in ";\t|," if mark in names[0] and mark != options.delimiter), "")
            problem = f"has a header of one field, {names[0]!r}, with {other!r} in it" if other else ""
            word = "tab" if other == "\t" else other
            advice = f"Set delimiter: {word!r}. If it is one column, name it with columns and skip_rows: 1."
        if problem:
            raise SettingsError(f"Source file {self.path} {problem}", next_step=advice, option=(option,))

    def raw(self) -> str | None:
        return self._encoding.shown(b"".join(self._taken)) if self._encoding else None

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        layout = self._layout()
        if self._left_out is not None:
            self._prefix.leave_out(self._left_out)
        if layout.headers is None:  # nothing is read, and yet nothing has been added
            self._prefix.leave_out(lambda blocks: layout.offset)
        offset, line, *state = cursor or (layout.offset, layout.line)
        if cursor is None and layout.open:
            self._unfinished = True
            self._end = [offset, line, AT_END]
        with self._prefix.start(offset, at_end=state == [AT_END] or self._end is not None) as file:
            if layout.headers is not None and state != [AT_END]:
                yield from self._rows(file, layout, offset, line, state[0] if state else 0)
            while layout.headers is None and file.block():
                pass  # what lies there has been looked at: nothing has been added to it

    def end(self) -> Cursor | None:
        return self._end

    def grown(self, cursor: Cursor | None) -> str | None:
        if self._layout().headers is None:
            return None
        if self.options.comment is not None and next(CsvFile(self.options).read(cursor), None) is None:
            return None  # comments are no rows, and only whoever reads them as CSV can tell them from what is quoted
        return super().grown(cursor)

    def _begins_at(self) -> int:
        layout = self._layout()
        return layout.offset if layout.headers is not None else self._prefix.size() or 0

    @property
    def _left_out(self) -> Callable[[Iterator[bytes]], int] | None:
        if not self.options.skip_footer:
            return None
        encoding = self._detect(self._prefix.head(64))
        return lambda blocks: last_lines_at(blocks, encoding, self.options.skip_footer)

    def _no_rows(self) -> bytes:
        return b"\r\n\0"  # a line of spaces is a row of one field; the NUL is half of a line end in UTF-16

    def _rows(
        self, file: HashedFile, layout: _Layout, offset: int, line: int, apart: int
    ) -> Iterator[tuple[Row | Invalid, Cursor]]:
        assert layout.headers is not None
        names, encoding = tuple(layout.headers), layout.encoding
        keep = self.options.raw
        width, newline, nulls = len(names), encoding.newline, frozenset(self.options.null_values)
        feed = self._feed(file, encoding, apart)
        rest = REST if self.options.ragged == "keep" else None
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
            fitted = (fields, None) if len(fields) == width else self._of_width(fields, width)
            if fitted is not None and not feed.flaw:
                row: Row = dict(zip(names, fitted[0], strict=True))
                if nulls and not nulls.isdisjoint(fields):
                    row = {name: None if value in nulls else value for name, value in row.items()}
                if rest is not None:
                    row[rest] = fitted[1]
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
        return {
            "delimiter": self.options.delimiter, "quotechar": quote, "quoting": quoting,
            "escapechar": self.options.escapechar, "skipinitialspace": self.options.initial_space,
        }  # fmt: skip

    def _detect(self, head: bytes) -> Encoding:
        encoding = detect(self.options.encoding, head, self.path)
        return encoding if self.options.line_end == "lf" else replace(encoding, newline="\r".encode(encoding.codec))

    def _feed(self, file: HashedFile, encoding: Encoding, apart: int = 0) -> RecordFeed:
        options = self.options
        comment = b"" if options.comment is None else options.comment.encode(encoding.codec)
        return RecordFeed(file, encoding, options.max_row_bytes, self._dialect(), apart=apart, comment=comment)

    def _of_width(self, fields: list[str], width: int) -> tuple[list[str | None], list[str] | None] | None:
        """A row's fields, as many as the header has, and what is too many; None if it is refused."""
        count, ragged = len(fields), self.options.ragged
        if count == width or (count < width and ragged != "refuse"):
            return [*fields, *[None] * (width - count)], None
        if count > width and ragged in ("cut", "keep"):
            return list(fields[:width]), fields[width:]
        return None

    def _layout(self) -> _Layout:
        options = self.options
        file = HashedFile(self._file)
        encoding = self._detect(file.head(64))
        line = 0
        with file.start(encoding.bom_bytes):
            feed = self._feed(file, encoding)
            try:
                line = feed.skip(options.skip_rows)
                if options.columns is not None:
                    return _Layout(encoding, self._headers(options.columns), feed.offset, line)
                for fields in feed.records():
                    if feed.flaw:
                        raise Broken(feed.flaw)
                    if not fields:
                        line += len(feed.taken)
                        feed.offset += sum(map(len, feed.taken))
                        feed.taken.clear()
                    else:
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
        if self.options.ragged == "keep" and REST in renamed:
            raise ValueError(f"with ragged: keep the field '{REST}' is for what is too many, and there is one already")
        if self.options.raw in renamed:
            raise ValueError(f"the option raw wants a field '{self.options.raw}', and there is one already")
        return renamed


class CsvSource(FileSource):
    """CSV after RFC 4180 with a header line (or `columns`); strict about quotes, any line end that ends in a line feed.

    Empty lines are passed over. What is no row (wrong number of fields, a stray or unclosed quote, a NUL, bytes that
    are not of the encoding, a row beyond `max_row_bytes`) comes as `Invalid`, and reading goes on behind it. Of a
    record that cannot be completed only the first line is given up.

    The cursor's third item, if it is a number, says before which offset lines are read each for itself.
    """

    name = "csv"
    one = CsvFile
    Options: ClassVar[type[PluginOptions]] = CsvOptions

    def field_of(self, name: str) -> str:
        identifiers = lower_headers if self.options.normalize_fields else normalise_headers
        (identifier,) = identifiers([name])
        mapping: dict[str, str] = self.options.field_mapping
        return mapping.get(name, mapping.get(identifier, identifier))


def _cursor(offset: int, line: int, apart: int, *, ended: bool) -> list[Any]:
    if not ended:
        return [offset, line, AT_END]
    return [offset, line, apart] if offset < apart else [offset, line]


def _count(number: int) -> str:
    return "1 field" if number == 1 else f"{number} fields"
