"""One line of CSV, written and read: the reference for what `csv.writer` does to many lines at once."""

from __future__ import annotations

import codecs
import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any, Literal

from elspeth.errors import SettingsError
from elspeth.plugins.compression.kinds import Kind
from elspeth.plugins.contract import RowError
from elspeth.plugins.sinks.existing import last_bytes, opened
from elspeth.plugins.sinks.files import temporary

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")


Quoting = Literal["minimal", "all", "nonnumeric"]


@dataclass(frozen=True, slots=True)
class Style:
    """How values are written beyond what CSV asks for. A null is never quoted, so it differs from a quoted text."""

    quoting: Quoting = "minimal"
    null_as: str = ""
    escape_formulas: bool = False


def line(
    values: Sequence[Any], columns: Sequence[str], delimiter: str, terminator: str, codec: str, style: Style = Style()
) -> bytes:
    """Encode one line. Raises `RowError` naming the column whose value CSV or the encoding cannot hold."""
    special = {delimiter, '"', "\r", "\n"}
    fields = []
    for value, column in zip(values, columns, strict=True):
        text = style.null_as if value is None else _text(value, column)
        if style.escape_formulas and isinstance(value, str):
            text = without_formula(text)
        try:
            text.encode(codec)
        except UnicodeEncodeError as error:
            raise RowError(
                f"column {column} holds {text[error.start]!r}, which the encoding {codec} cannot express"
            ) from None
        if not special.isdisjoint(text) or _is_quoted(value, text, style):
            text = '"' + text.replace('"', '""') + '"'
        fields.append(text)
    if fields == [""]:
        fields = ['""']  # an empty line would be no line
    return (delimiter.join(fields) + terminator).encode(codec)


def without_formula(text: str) -> str:
    """The text, behind an apostrophe if a spreadsheet would take it for a formula; a number is none."""
    return f"'{text}" if text[:1] in _FORMULA and text and not _NUMBER.fullmatch(text) else text


def _is_quoted(value: Any, text: str, style: Style) -> bool:
    """Whether the text gets quotes although CSV needs none."""
    if value is None:
        return False
    if style.null_as and text == style.null_as:
        return True  # else it would read back as null
    return style.quoting == "all" or (style.quoting == "nonnumeric" and (isinstance(value, bool | str | list | dict)))


def _text(value: Any, column: str) -> str:
    if isinstance(value, str):
        return value
    try:
        if isinstance(value, int):
            return str(value)
        if isinstance(value, float):
            if not isfinite(value):
                raise RowError(f"column {column} holds {value}, which is no number that can be written")
            return repr(value)
        if isinstance(value, list | dict):
            return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError) as error:
        raise RowError(f"column {column} holds a value that cannot be written: {error}") from None
    raise RowError(f"column {column} holds a {type(value).__name__}, which CSV cannot hold")


def read_header(path: Path, kind: Kind | None, encoding: str, delimiter: str) -> tuple[list[str], bool, str | None]:
    """The header of an existing file, whether its last line has an end, and what ends all of its first lines.

    Raises `SettingsError` if the file's first line cannot be read as a header.
    """
    try:
        with opened(path, kind) as raw, io.TextIOWrapper(raw, encoding, newline="") as file:
            header = next(csv.reader(file, delimiter=delimiter, strict=True), [])
            ends = file.newlines
        end = "\n".encode(_plain(encoding))
        ended = last_bytes(path, kind, len(end)) == end
    except (UnicodeError, csv.Error) as error:
        raise SettingsError(
            f"Output {path} cannot be appended to: its first line is no header in {encoding} ({error}).",
            next_step="Change the sink's encoding or delimiter, or write to another file.",
            option=("encoding",),
        ) from error
    except OSError as error:
        raise temporary(path, "read", error) from error
    if header:
        header[0] = header[0].removeprefix("\ufeff")
    if not header or "" in header or len(set(header)) < len(header):
        raise SettingsError(
            f"Output {path} cannot be appended to: its first line is no header, because a name is missing or stands "
            "there twice.",
            next_step="Mend the header, or write to another file.",
        )
    return header, ended, ends if ends in ("\n", "\r\n") else None


def _plain(encoding: str) -> str:
    """The codec without its mark, so that one encoded character has no mark in front."""
    name = codecs.lookup(encoding).name
    return {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name.removesuffix("-sig"))
