"""The records of a reference file, CSV with a header or JSON lines: all of them are good, or the file is refused."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from elspeth.errors import SettingsError
from elspeth.file_identity import NotRegularFile, open_regular

Format = Literal["csv", "jsonl"]
Record = tuple[int, dict[str, Any]]
"""The line (from 1) on which it begins, and its values by column."""


def records(path: Path, format: Format, *, encoding: str = "utf-8", delimiter: str = ",") -> Iterator[Record]:
    """The records in the order of the file. Raises `SettingsError` that names file and line for whatever is wrong."""
    try:
        codec = "utf-8-sig" if encoding == "utf-8" else encoding
        with open_regular(path) as raw, io.TextIOWrapper(raw, encoding=codec, newline="") as file:
            yield from _csv(path, file, delimiter) if format == "csv" else _json_lines(path, file)
    except NotRegularFile as error:
        raise refused(path, "is no regular file") from error
    except OSError as error:
        raise refused(path, f"cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise refused(path, f"is not {encoding}: {error.reason}") from error


def refused(path: Path, what: str, line: int | None = None) -> SettingsError:
    """The error that says what is wrong with a reference file."""
    place = f"the reference file {path}" + (f", line {line}," if line is not None else "")
    return SettingsError(f"{place} {what}", next_step="correct the file, or the options that describe it")


def _csv(path: Path, file: Iterator[str], delimiter: str) -> Iterator[Record]:
    reader = csv.reader(file, strict=True, delimiter=delimiter)
    line = 1
    try:
        header = next(reader, None)
        if not header:
            raise refused(path, "has no header", 1)
        twice = {name for name in header if header.count(name) > 1}
        if twice:
            raise refused(path, f"has the column {sorted(twice)[0]!r} twice", 1)
        line = reader.line_num + 1
        for values in reader:
            if values:
                if len(values) != len(header):
                    raise refused(path, f"has {len(values)} values where the header has {len(header)} columns", line)
                yield line, dict(zip(header, values, strict=True))
            line = reader.line_num + 1
    except csv.Error as error:
        raise refused(path, f"is no CSV: {error}", line) from error


def _json_lines(path: Path, file: Iterator[str]) -> Iterator[Record]:
    for line, text in enumerate(file, 1):
        if not text.strip():
            continue
        try:
            value = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
        except (ValueError, RecursionError) as error:
            raise refused(path, f"is no JSON: {error or 'nested too deeply'}", line) from error
        if not isinstance(value, dict):
            raise refused(path, "holds no JSON object", line)
        yield line, value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {next(name for name in names if names.count(name) > 1)!r} stands in it twice")
    return result


def _no_number(word: str) -> Any:
    raise ValueError(f"{word} is no JSON number")
