"""A source: one row per line of `key=value` pairs, as machines write them into journals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from elspeth.errors import SettingsError, SourceChanged
from elspeth.plugins.contract import Cursor, Invalid, PluginOptions, Row, Source, SourceInfo


class JournalOptions(PluginOptions):
    """Options of the `journal` source."""

    path: Path = Field(description="The journal to read.")
    separator: str = Field("=", min_length=1, max_length=1, description="What stands between a key and its value.")


class Journal(Source):
    """Reads `key=value` pairs, separated by blanks. A line that is something else is no row."""

    name = "journal"
    Options = JournalOptions
    options: JournalOptions

    def __init__(self, options: JournalOptions) -> None:
        super().__init__(options)
        self._read = hashlib.sha256()  # everything up to the row yielded last

    def read(self, cursor: Cursor | None) -> Iterator[tuple[Row | Invalid, Cursor]]:
        """Rows behind `cursor`, which is [bytes, lines] read so far: resuming seeks, it does not parse again."""
        offset, number = cursor or [0, 0]
        with self.options.path.open("rb") as file:
            file.seek(offset)
            for raw in file:
                self._read.update(raw)
                offset += len(raw)
                number += 1
                yield self._row(raw, number), [offset, number]

    def _row(self, raw: bytes, number: int) -> Row | Invalid:
        text = raw.decode("utf-8", errors="replace").strip()
        pairs = [word.partition(self.options.separator) for word in text.split()]
        if not pairs or not all(key and separator for key, separator, _ in pairs):
            return Invalid(raw=text[:4096], error="the line does not consist of key=value pairs", line=number)
        return {key: value for key, _, value in pairs}

    def proof(self) -> str:
        """SHA-256 of all lines up to the row yielded last."""
        return self._read.hexdigest()

    def check(self, cursor: Cursor, proof: str) -> None:
        """Read what lies before the cursor once more, and refuse to go on if it is not what it was."""
        left = cursor[0]
        last = b"\n"
        with self.options.path.open("rb") as file:
            while left and (block := file.read(min(left, 1 << 20))):
                self._read.update(block)
                left -= len(block)
                last = block[-1:]
            # A last line that had no end when it was read, and now goes on, is not the line that was processed.
            went_on = last != b"\n" and file.read(1) != b""
        if left or went_on or self._read.hexdigest() != proof:
            raise SourceChanged(f"The journal {self.options.path} changed before line {cursor[1] + 1}.")

    def describe(self) -> SourceInfo:
        """Size and file, for the plan and the progress display."""
        try:
            size = self.options.path.stat().st_size
        except OSError as error:
            raise SettingsError(f"The journal {self.options.path} cannot be read: {error.strerror}.") from error
        return SourceInfo(size_bytes=size, files=(self.options.path,))

    def offset(self, cursor: Cursor) -> int:
        """Bytes before the cursor."""
        return int(cursor[0])
