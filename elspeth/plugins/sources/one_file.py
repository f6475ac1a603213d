"""What every source that reads one file shares: opening it, and proving that what was read is still there.

A cursor is a list that begins with a byte offset and the number of lines before it. A third item says more: `"end"`
where the last line had no line end (or the rest of the file could not be read), so that a longer file is a changed one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from elspeth.errors import SettingsError, SourceChanged
from elspeth.plugins.compression.kinds import kind_of
from elspeth.plugins.contract import Cursor, Source, SourceInfo
from elspeth.plugins.sources.hashed_file import PUT_BACK, HashedFile
from elspeth.plugins.sources.streams import InputFile

HEAD_BYTES = 4096
_KINDS = (
    (b"PK\x03\x04", "a zip file or an Excel workbook", "Unpack it, or save the sheet as CSV."),
    (b"PK\x05\x06", "an empty zip file", "Put the input there."),
    (b"\x1f\x8b", "compressed with gzip", "Set compression: gzip."),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Set compression: zstd."),
    (b"BZh", "compressed with bzip2", "Set compression: bzip2."),
    (b"\xfd7zXZ\x00", "compressed with xz", "Set compression: xz."),
    (b"PAR1", "a Parquet file", "Convert it to CSV or JSON lines."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV."),
    (b"SQLite format 3\x00", "an SQLite database", "Export the table as CSV or JSON lines."),
    (b"%PDF-", "a PDF document", "Give a file of rows."),
)


class OneFile(Source):
    """A source over one regular file, whose proof is the SHA-256 of all bytes before the cursor."""

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.path: Path = options.path
        self._file = InputFile(self.path, kind_of(options.compression, self.path), options.max_expansion)
        self._prefix = HashedFile(self._file)
        self._further_lines = 0  # of the row read last, behind its first one
        self._unfinished = False  # whether the row read last had no end of its own

    def proof(self) -> str:
        return self._prefix.digest()

    def check(self, cursor: Cursor, proof: str) -> None:
        self._prefix.verify(cursor, proof)

    def reach(self, cursor: Cursor) -> None:
        """Read what lies before the cursor, so that `proof` tells of it. Raises `SourceChanged`."""
        self._prefix.reach(cursor)

    def digest_of_all(self) -> str:
        """SHA-256 (hex) of all plain bytes of the file, which is not read again if it was read to its end."""
        return self._prefix.digest_of_all()

    def describe(self) -> SourceInfo:
        head = self._prefix.head(HEAD_BYTES)
        size = self._prefix.size() if head else 0
        if not head and self.options.on_empty == "refuse":
            raise SettingsError(
                f"Source file {self.path} is empty (0 bytes), and its on_empty is refuse",
                next_step="Put the input there, or set on_empty: warn.",
                option=("on_empty",),
            )
        refuse_other_kinds(head, self.path)
        return SourceInfo(size_bytes=size, files=(self.path,))

    def said_at_end(self) -> str | None:
        more = self._prefix.grown_by()
        if more > 0 and self._unfinished:
            raise SourceChanged(
                f"Source file {self.path} has grown, but its last line had no line end and was processed as it stood",
                details=(f"{more:,} bytes were added while it was read",),
                next_step=PUT_BACK,
            )
        return self._grown_by(more) if more > 0 else None

    def grown(self, cursor: Cursor | None) -> str | None:
        offset = self._begins_at() if cursor is None else int(cursor[0])
        if self._left_out is not None:
            self._prefix.leave_out(self._left_out)
        size = 0
        seen = False
        for block in self._prefix.behind(offset):
            size += len(block)
            seen = seen or bool(block.strip(self._no_rows()))
        return self._grown_by(size) if seen else None

    @property
    def _left_out(self) -> Callable[[Iterator[bytes]], int] | None:
        """How to find where lines begin that are no rows although they are at the end; None if all are."""
        return None

    def _begins_at(self) -> int:
        """Where the first row begins, bytes."""
        return 0

    def _no_rows(self) -> bytes:
        """The bytes of which lines are made that are passed over."""
        return b""

    def _grown_by(self, size: int) -> str:
        return f"source file {self.path} has grown by {size:,} bytes since its end was read; they are not looked at"

    def line(self, cursor: Cursor) -> int:
        return int(cursor[1]) - self._further_lines

    def offset(self, cursor: Cursor) -> int:
        return int(cursor[0])

    def teardown(self) -> None:
        self._prefix.close()


def refuse_other_kinds(head: bytes, path: Path) -> None:
    """Raise `SettingsError` if a file that begins so is of a kind that holds no lines of text."""
    for mark, kind, advice in _KINDS:
        # A word of text may begin like one of the short marks; compressed data soon has a byte that no text has.
        if head.startswith(mark) and (len(mark) > 3 or min(head) < 9):
            raise SettingsError(f"Source file {path} is {kind}, not text", next_step=advice)
