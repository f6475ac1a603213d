"""What each output must hold, rendered again with the standard library and compared with what is there."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.kit.compressed import UNPACK, plain_bytes, plain_suffix
from tests.kit.oracle.ledger import several
from tests.kit.oracle.reading import CannotRecompute, Row, fields

EVIDENCE = [[], ["_line", "_error", "_raw"], ["_error", "_node"], ["_line", "_error", "_raw", "_node"]]
"""What refused rows have behind their own fields, where some of them may come."""


class Output:
    """The rows that one sink must hold, in order.

    Rows that were set aside carry the product's own words (`_error`, ...), so an output that has any is compared value
    by value, with fields that begin with an underscore left to the product; every other output byte by byte.
    """

    def __init__(self, name: str, plugin: str, options: dict[str, Any]) -> None:
        if plugin not in ("csv", "json", "text", "null"):
            raise CannotRecompute(f"sink plugin {plugin}")
        if options.get("headers"):
            raise CannotRecompute(f"headers of sink {name}")
        self.name = name
        self.plugin = plugin
        self.options = options
        self.inputs: list[list[str]] = []
        self.rows: list[Row] = []
        self.exact = True
        listed = fields(options.get("schema"))
        self.declared = [name for name, _, _ in listed or ()]
        self.fixed = bool(listed) and options["schema"].get("mode") in ("fixed", "strict")
        self.header: list[str] | None = None
        self.floats = {name for name, kind, _ in listed or () if kind == "float" and options.get("whole_floats", True)}
        self.words = options.get("booleans", ("True", "False"))
        self.line_end: str = options.get("line_terminator", "\r\n")
        self.optional = {name for name, _, optional in listed or () if optional}

    def take(self, row: Row, *, exact: bool) -> bool:
        """Whether the sink accepts this row, which is then due next."""
        if self.plugin == "csv":
            extra = [] if self.fixed else [key for key in row if key not in self.declared]
            header = self.declared + extra if self.header is None else self.header
            if not row or not set(row) <= set(header) or not set(header) - self.optional <= set(row):
                return False
            self.header = header
        if self.plugin == "text" and self._line(row) is None:
            return False
        self.rows.append(row)
        self.exact = self.exact and exact
        return True

    def _line(self, row: Row) -> str | None:
        name = self.options.get("field", self.options.get("column"))
        if name is None and len(row) == 1:
            name = next(iter(row))
        value = row.get(name) if name else None
        if value is None or isinstance(value, (float, dict, list)) or set(cell(value)) & set("\r\n"):
            return None
        return cell(value)

    def violations(self, path: Path, *, base: int, finished: bool) -> Iterator[str]:
        """How the file differs from what is due; `base` bytes at its start were there before the run.

        An unfinished run's file may go on after what was committed: the rest is cut off when it is resumed.
        """
        if self.plugin == "null":
            return
        if not path.exists():
            if finished or self.rows:
                yield f"output {self.name}: {path.name} is missing"
            return
        if path.suffix in UNPACK and not finished:
            return  # it may be cut anywhere; the bytes behind each checkpoint's hash are compared elsewhere
        content = plain_bytes(path)
        if len(content) < base:
            yield f"output {self.name}: has {len(content)} bytes, and {base} were there before the run"
            return
        found = [f"output {self.name}: {text}" for text in self._compare(content, base, finished)]
        yield from several(found)

    def _compare(self, content: bytes, base: int, finished: bool) -> Iterator[str]:
        encoding = self.options.get("encoding", "utf-8")
        if self.plugin == "csv" and finished and not self.rows and not base and not self.declared:
            # Without rows there is the header that rows would have had, where that is known, and nothing where not.
            known = [[*names, *more] for names in self.inputs for more in EVIDENCE]
            if content.decode(encoding) not in ("", *map(self._csv_line, known)):
                yield f"holds {content[:200]!r} without a row, and its inputs have the headers {self.inputs}"
            return
        if self.plugin == "text" or (self.plugin == "csv" and self.exact):
            if base:  # what is appended ends its lines as the header does that was there
                self.line_end = "\r\n" if "\r\n" in content[:base].decode(encoding) else "\n"
            due = (self._csv(base) if self.plugin == "csv" else self._text()).encode(encoding)
            there = content[base:]
            if not there.startswith(due):
                yield self._first_difference(due, there)
            elif finished and len(there) > len(due):
                yield f"{len(there) - len(due)} bytes too many at the end"
            return
        if not finished:
            return  # the structure may be open; the bytes behind each checkpoint's hash are compared elsewhere
        try:
            actual = list(self._parse(content, base, encoding))
        except ValueError as problem:
            yield f"cannot be read back: {problem}"
            return
        for number, (row, due_row) in enumerate(zip(actual, self.rows, strict=False), 1):
            visible = {key: value for key, value in row.items() if key in due_row or not key.startswith("_")}
            wanted = (
                {key: self._cell(key, value) for key, value in due_row.items()} if self.plugin == "csv" else due_row
            )
            if visible != wanted or list(visible) != list(wanted):
                yield f"row {number} is {visible}, not {wanted}"
            if self.exact and visible != row:
                yield f"row {number} has fields of its own: {sorted(set(row) - set(visible))}"
        if len(actual) != len(self.rows):
            yield f"{len(actual)} rows, not {len(self.rows)}"

    def _csv(self, base: int) -> str:
        header = self.header or self.declared
        rows = [[self._cell(key, row.get(key)) for key in header] for row in self.rows]
        return "".join(self._csv_line(values) for values in ([header] if header and not base else []) + rows)

    def _cell(self, key: str, value: Any) -> str:
        if key in self.floats and type(value) is int and float(value) == value:
            value = float(value)
        return cell(value, self.words)

    def _csv_line(self, values: list[str]) -> str:
        delimiter: str = self.options.get("delimiter", ",")
        special = {delimiter, '"', "\r", "\n"}
        if values == [""]:
            return '""' + self.line_end
        quoted = ['"' + text.replace('"', '""') + '"' if special & set(text) else text for text in values]
        return delimiter.join(quoted) + self.line_end

    def _text(self) -> str:
        return "".join(f"{self._line(row)}\n" for row in self.rows)

    def _parse(self, content: bytes, base: int, encoding: str) -> Iterator[Row]:
        text = content[base:].decode(encoding)
        if text and not text.endswith("\n"):
            raise ValueError("the last line has no end")
        if self.plugin == "csv":
            yield from csv.DictReader(io.StringIO(text, newline=""), delimiter=self.options.get("delimiter", ","))
        elif lines(self.options):
            yield from map(json.loads, text.split("\n")[:-1])
        else:
            yield from json.loads(text)

    @staticmethod
    def _first_difference(due: bytes, there: bytes) -> str:
        for number, (wanted, found) in enumerate(zip(due.split(b"\n"), there.split(b"\n"), strict=False), 1):
            if wanted != found:
                return f"line {number} is {found[:200]!r}, not {wanted[:200]!r}"
        return f"ends after {len(there)} bytes, {len(due)} are due"


def lines(options: dict[str, Any]) -> bool:
    """Whether a JSON sink writes one object a line instead of an array."""
    return (options.get("format") or plain_suffix(Path(options.get("path", "")))[1:]) in ("jsonl", "ndjson")


def cell(value: Any, words: Any = ("true", "false")) -> str:
    """A value as the CSV and text sinks spell it; `words` are those for truth values."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(words[0] if value else words[1])
    if isinstance(value, (dict, list)):
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return str(value)
