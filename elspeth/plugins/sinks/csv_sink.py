"""The `csv` sink: rows as lines of separated values (RFC 4180, line ends "\\r\\n" unless told otherwise)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from operator import itemgetter
from typing import Any, Literal

from pydantic import Field, field_validator

from elspeth.errors import SettingsError
from elspeth.plugins.contract import ERROR_FIELDS, REFUSED, Position, Row, RowError
from elspeth.plugins.sinks.csv_text import Quoting, Style, line, read_header, without_formula
from elspeth.plugins.sinks.existing import last_bytes
from elspeth.plugins.sinks.file_sink import FileSink, FileSinkOptions
from elspeth.schema import RowSchema

_TEXT: set[type] = {str, int, type(None)}  # what csv.writer writes as `line` does, whatever the value
_WITH_FLOATS: set[type] = _TEXT | {float}
_WITH_BOOLS: set[type] = _WITH_FLOATS | {bool}


class CsvSinkOptions(FileSinkOptions):
    """Options of the `csv` sink. With fields in `schema` the header is theirs, else the first row's."""

    delimiter: str = Field(",", description="The character between two values; `tab` for a tab stop.")
    line_terminator: Literal["\n", "\r\n"] = Field("\r\n", description="What ends a line.")
    booleans: tuple[str, str] = Field(("True", "False"), description="The words for true and false.")
    whole_floats: bool = Field(
        True, description="Write a whole number as `1279.0` in a column that the schema calls float."
    )
    quoting: Quoting = Field(
        "minimal",
        description="What is put in quotes: what needs them, all, or all but numbers. Null never is, so that it "
        "differs from an empty text that is.",
    )
    null_as: str = Field("", description="What null is written as; a text that says the same is put in quotes.")
    escape_formulas: bool = Field(
        False,
        description="Put an apostrophe before texts, and names in the header, that a spreadsheet would take for a "
        "formula: those that begin with `=`, `+`, `-`, `@`, a tab stop or a carriage return, and are no number.",
    )
    empty_header: Literal["known", "declared"] = Field(
        "known",
        description="The header of an output without rows: `known`, that of the fields its rows would have, as far as "
        "schema and input say them; `declared`, only that of the schema.",
    )

    @field_validator("delimiter")
    @classmethod
    def _one_character(cls, delimiter: str) -> str:
        if delimiter == "tab":
            return "\t"
        if len(delimiter) != 1 or delimiter in '"\r\n':
            raise ValueError("must be one character, and neither a quote nor a line end")
        return delimiter

    @field_validator("booleans")
    @classmethod
    def _two_words(cls, booleans: tuple[str, str]) -> tuple[str, str]:
        if booleans[0] == booleans[1] or not all(booleans):
            raise ValueError("two different words are needed, the one for true first")
        return booleans

    @field_validator("null_as")
    @classmethod
    def _one_word(cls, null_as: str) -> str:
        if set(null_as) & set('"\r\n'):
            raise ValueError("must have neither a quote nor a line end in it")
        return null_as

    @property
    def style(self) -> Style:
        """How values are written."""
        return Style(self.quoting, self.null_as, self.escape_formulas)

    @field_validator("schema_")
    @classmethod
    def _readable(cls, schema: Any) -> Any:
        RowSchema.parse(schema)
        return schema


class CsvSink(FileSink):
    """Writes CSV with a header line.

    None becomes nothing, a truth value `True` or `False` (see `booleans`), a float its shortest form, a list or dict
    JSON. The order of columns is that of the schema's fields, then (unless the schema is fixed) of the first row; with
    `mode: append` that of the header found in the file, whose line ends are kept. A row that lacks a column or has one
    too many is refused, but for fields that the schema calls optional.
    """

    name = "csv"
    Options = CsvSinkOptions
    options: CsvSinkOptions

    def __init__(self, options: CsvSinkOptions) -> None:
        super().__init__(options)
        schema = RowSchema.parse(options.schema_)
        self._declared = tuple(field.name for field in schema.fields)
        self._optional = frozenset(field.name for field in schema.fields if field.optional)
        self._fixed = schema.mode == "fixed"
        self._floats = frozenset(
            field.name for field in schema.fields if field.type == "float" and options.whole_floats
        )
        self._style = options.style
        self._float_places: tuple[int, ...] = ()
        self._terminator: str = options.line_terminator
        self._columns: tuple[str, ...] | None = None
        self._line_end_due = False
        self._buffer = io.StringIO()
        self._writer = self._new_writer()
        self._values: Callable[[Row], tuple[Any, ...]] = lambda row: ()

    def write(self, rows: list[Row]) -> list[str | None]:
        """Write rows in order; see `Sink.write`. Raises `Temporary` or `OutputDamaged`."""
        answers: list[str | None] = []
        while self._columns is None and len(answers) < len(rows):
            answers.append(self._start(rows[len(answers)]))
        rest = rows[len(answers) :] if answers else rows
        if not rest:
            return answers
        data = self._encode(rest)
        if data is not None:
            self._put(data, len(rest))
            return answers + [None] * len(rest)
        return answers + [self._write_one(row) for row in rest]

    def first_state(self, position: Position) -> dict[str, Any]:
        """For `append`: the header found, and whether the last line still wants its end."""
        if not self.options.appends or position["size"] == 0:
            return {}
        options = self.options
        if options.kind is not None and not last_bytes(options.path, options.kind, 1):
            return {}  # a compressed file of nothing
        header, ended, line_end = read_header(self.outputs()[0], options.kind, options.encoding, options.delimiter)
        wanted = self._named(self._declared)
        missing = [name for name in wanted if name not in header]
        if self._declared and (missing or (self._fixed and len(wanted) < len(header))):
            raise SettingsError(
                f"Output {options.path} has the header {', '.join(header)}; the schema says {', '.join(wanted)}.",
                next_step="Change the schema, or write to another file.",
                option=("schema",),
            )
        found = {"line_end": line_end} if line_end is not None else {}
        return {"header": header, "line_end_due": not ended, **found}

    def restore_state(self, state: dict[str, Any]) -> None:
        """Take back header and columns; columns of a file that was there before follow from its header."""
        columns = self._columns_in(state)
        self._line_end_due = bool(state.get("line_end_due"))
        self._terminator = state.get("line_end", self.options.line_terminator)
        self._writer = self._new_writer()
        self._columns = None
        if columns is not None:
            self._take_columns(tuple(columns))

    def _columns_in(self, state: dict[str, Any]) -> list[str] | None:
        columns: list[str] | None = state.get("columns")
        if columns is None and "header" in state:
            known = {self._name(column): column for column in (*self._context.headers, *self._renamed())}
            columns = [known.get(name, name) for name in state["header"]]
        return columns

    def fields(self, position: Position) -> tuple[frozenset[str], frozenset[str]] | None:
        """The columns of the file that is appended to."""
        columns = self._columns_in(position.get("format", {}))
        if columns is None:
            return None
        return frozenset(columns) - self._optional - frozenset(self._context.evidence), frozenset(columns)

    def state(self) -> dict[str, Any]:
        """The columns, once the header is written."""
        if self._columns is None:
            return {}
        due: dict[str, Any] = {"line_end_due": True} if self._line_end_due else {}
        if self._terminator != self.options.line_terminator:
            due["line_end"] = self._terminator  # that of the file which is appended to
        return {"columns": list(self._columns), **due}

    def closing(self) -> bytes:
        """Nothing, but for an output without rows whose header is known: that header."""
        known = self._context.fields if self.options.empty_header == "known" else ()
        columns = self._columns_of(known) if known else self._declared
        if self._columns is not None or not columns:
            return b""
        try:
            header = self._header(columns)
        except RowError as error:
            if not self._declared:
                return b""  # no row could have been written either
            raise SettingsError(
                f"Sink {self.name} cannot write its header: {error.reason}.", next_step="Change the sink's options."
            ) from error
        self._take_columns(columns)
        return header

    def _columns_of(self, fields: Iterable[str]) -> tuple[str, ...]:
        """The columns of an output whose first row has these fields."""
        more = () if self._fixed else dict.fromkeys((*fields, *self._context.unlike))
        columns = self._declared + tuple(key for key in more if key not in self._declared)
        evidence = self._context.evidence
        if evidence and not self._fixed:
            # Rows of several shapes: those that were not refused leave the evidence empty.
            columns = (*(name for name in columns if name not in evidence), *evidence)
        return columns

    def _start(self, row: Row) -> str | None:
        """Write the header and, in the same piece, the first row that is taken."""
        columns = self._columns_of(row)
        try:
            if not columns:
                raise RowError("the row has no fields, so there is no header to write")
            data = self._header(columns) + self._line(row, columns)
        except RowError as error:
            return error.reason
        self._take_columns(columns)
        self._put(data, 1)
        return None

    def _encode(self, rows: list[Row]) -> bytes | None:
        """All rows at once at the speed of `csv.writer`, or None if they must be looked at one by one.

        The bytes are those that `_line` gives for each row: how rows were cut into chunks must not show.
        """
        columns = self._columns or ()
        if self._style != Style() or set(map(len, rows)) != {len(columns)}:
            return None
        try:
            values: Iterable[Sequence[Any]] = list(map(self._values, rows))
        except KeyError:
            return None
        types = set(map(type, chain.from_iterable(values)))
        if not types <= _WITH_BOOLS:
            return None
        if float in types and not all(isfinite(v) for v in chain.from_iterable(values) if type(v) is float):
            return None
        if bool in types or (self._float_places and int in types):
            values = [self._spelt(some) for some in values]
        buffer = self._buffer
        buffer.seek(0)
        buffer.truncate()
        try:
            self._writer.writerows(values)
            text = buffer.getvalue()
            if "\r" in text and self._terminator == "\n":
                return None  # csv.writer leaves a lone carriage return unquoted here, and then nobody can read it back
            return text.encode(self.codec)
        except (UnicodeEncodeError, ValueError, csv.Error):
            return None

    def _write_one(self, row: Row) -> str | None:
        try:
            data = self._line(row, self._columns or ())
        except RowError as error:
            return error.reason
        self._put(data, 1)
        return None

    def _line(self, row: Row, columns: tuple[str, ...]) -> bytes:
        missing = [column for column in columns if column not in row and column not in self._optional]
        extra = [key for key in row if key not in columns]
        evidence = self._context.evidence
        if _is_refused(row, evidence):  # it has what there was when it was refused
            missing = []
            extra = [key for key in extra if key not in REFUSED and key not in evidence]
        elif evidence:
            unlike = self._context.unlike
            missing = [column for column in missing if column not in evidence and column not in unlike]
        if missing or extra:
            raise RowError(_misfit(missing, extra))
        values = list(self._spelt([row.get(column) for column in columns], places(columns, self._floats)))
        if "_error" in evidence and "_error" in columns and isinstance(row.get("_error"), str):
            # A reason in letters that the encoding lacks must not cost the row.
            values[columns.index("_error")] = row["_error"].encode(self.codec, "backslashreplace").decode(self.codec)
        return line(values, columns, self.options.delimiter, self._terminator, self.codec, self._style)

    def _header(self, columns: tuple[str, ...]) -> bytes:
        names = self._named(columns)
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise RowError(f"two columns would have the name {twice[0]!r}")
        return line(names, columns, self.options.delimiter, self._terminator, self.codec, Style(self._style.quoting))

    def _put(self, data: bytes, rows: int) -> None:
        if self._line_end_due:
            data = self._terminator.encode(self.codec) + data
            self._line_end_due = False
        self.put(data, rows)

    def _spelt(self, values: Sequence[Any], floats: tuple[int, ...] | None = None) -> Sequence[Any]:
        """The values of a row, with the words for truth values and whole numbers as floats where they are exact."""
        yes, no = self.options.booleans
        spelt = [yes if value is True else no if value is False else value for value in values]
        for place in self._float_places if floats is None else floats:
            spelt[place] = as_float(spelt[place])
        return spelt

    def _new_writer(self) -> Any:
        return csv.writer(self._buffer, delimiter=self.options.delimiter, lineterminator=self._terminator)

    def _take_columns(self, columns: tuple[str, ...]) -> None:
        self._columns = columns
        self._float_places = places(columns, self._floats)
        if len(columns) == 1:
            only = columns[0]
            self._values = lambda row: (row[only],)
        else:
            self._values = itemgetter(*columns)

    def _named(self, columns: tuple[str, ...]) -> list[str]:
        return [self._name(column) for column in columns]

    def _name(self, column: str) -> str:
        headers = self.options.headers
        names = self._context.headers if headers == "original" else headers
        name = names.get(column, column) if isinstance(names, Mapping) else column
        return without_formula(name) if self.options.escape_formulas else name

    def _renamed(self) -> tuple[str, ...]:
        headers = self.options.headers
        return tuple(headers) if isinstance(headers, dict) else ()


def places(columns: Sequence[str], names: Collection[str]) -> tuple[int, ...]:
    """Where these names stand among the columns."""
    return tuple(place for place, column in enumerate(columns) if column in names)


def as_float(value: Any) -> Any:
    """A whole number as the float that is the same; whatever else, and what no float is, as it is."""
    if type(value) is not int:
        return value
    try:
        return float(value) if float(value) == value else value
    except OverflowError:
        return value


def _is_refused(row: Row, evidence: tuple[str, ...]) -> bool:
    by_source = REFUSED[0] in row and REFUSED[-1] in row
    return by_source or (ERROR_FIELDS[-1] in evidence and all(name in row for name in ERROR_FIELDS))


def _misfit(missing: list[str], extra: list[str]) -> str:
    parts = []
    if missing:
        parts.append(f"has no value for column {', '.join(missing)}")
    if extra:
        parts.append(f"has a value for {', '.join(extra)}, which the output has no column for")
    return f"the row {' and '.join(parts)}"
