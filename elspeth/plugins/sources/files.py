"""What every source that reads one file shares: opening it, and proving that what was read is still there.

A cursor is a list that begins with a byte offset and the number of lines before it. A third item says more: `"end"`
where the last line had no line end (or the rest of the file could not be read), so that a longer file is a changed one.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections import deque
from collections.abc import Iterator
from io import FileIO
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from elspeth.errors import ElspethError, SettingsError, SourceChanged, Temporary
from elspeth.plugins.contract import Cursor, PluginOptions, Source, SourceInfo
from elspeth.schema import RowSchema

BLOCK_BYTES = 1 << 20
RAW_BYTES = 4096  # of a piece that is no row, this much is kept as evidence
AT_END = "end"
HEAD_BYTES = 4096
_KINDS = (
    (b"PK\x03\x04", "a zip file or an Excel workbook", "Unpack it, or save the sheet as CSV."),
    (b"PK\x05\x06", "an empty zip file", "Put the input there."),
    (b"\x1f\x8b", "compressed with gzip", "Unpack it with: gunzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "Unpack it with: unzstd"),
    (b"BZh", "compressed with bzip2", "Unpack it with: bunzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz", "Unpack it with: unxz"),
    (b"PAR1", "a Parquet file", "Convert it to CSV or JSON lines."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV."),
    (b"SQLite format 3\x00", "an SQLite database", "Export the table as CSV or JSON lines."),
    (b"%PDF-", "a PDF document", "Give a file of rows."),
)
_PUT_BACK = "Put the file back as it was and resume, or start a fresh run with --force-new."


class FileOptions(PluginOptions):
    """Options of every source that reads a file."""

    path: Path = Field(description="The file to read, relative to the working directory.")
    on_empty: Literal["warn", "refuse"] = Field(
        default="warn", description="What a file without a byte in it is: said, or refused before anything is written."
    )
    raw: str | None = Field(
        default=None,
        min_length=1,
        description="The name of a further field that holds each row's text as it was read, without its line end.",
    )

    @model_validator(mode="after")
    def _raw_is_named(self) -> FileOptions:
        if self.raw is None:
            return self
        schema = RowSchema.parse(self.schema_)
        if schema.mode == "fixed" and self.raw not in {field.name for field in schema.fields}:
            raise ValueError(f"the schema is fixed, so it must name the field of option raw: '{self.raw}: str'")
        return self


class FileSource(Source):
    """A source over one regular file, whose proof is the SHA-256 of all bytes before the cursor."""

    Options: ClassVar[type[PluginOptions]] = FileOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self.path: Path = options.path
        self._prefix = HashedFile(self.path)
        self._further_lines = 0  # of the row read last, behind its first one
        self._unfinished = False  # whether the row read last had no end of its own

    def proof(self) -> str:
        return self._prefix.digest()

    def check(self, cursor: Cursor, proof: str) -> None:
        self._prefix.verify(cursor, proof)

    def describe(self) -> SourceInfo:
        size = self._prefix.size()
        if not size and self.options.on_empty == "refuse":
            raise SettingsError(
                f"Source file {self.path} is empty (0 bytes), and its on_empty is refuse",
                next_step="Put the input there, or set on_empty: warn.",
            )
        refuse_other_kinds(self._prefix.head(HEAD_BYTES), self.path)
        return SourceInfo(size_bytes=size, files=(self.path,))

    def said_at_end(self) -> str | None:
        more = self._prefix.size() - self._prefix.read_bytes
        if more > 0 and self._unfinished:
            raise SourceChanged(
                f"Source file {self.path} has grown, but its last line had no line end and was processed as it stood",
                details=(f"{more:,} bytes were added while it was read",),
                next_step=_PUT_BACK,
            )
        return self._grown_by(more) if more > 0 else None

    def grown(self, cursor: Cursor | None) -> str | None:
        offset = self._begins_at() if cursor is None else int(cursor[0])
        size = 0
        seen = False
        for block in self._prefix.behind(offset):
            size += len(block)
            seen = seen or bool(block.strip(self._no_rows()))
        return self._grown_by(size) if seen else None

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


class HashedFile:
    """A file read block by block, with the SHA-256 of everything before a mark that moves forward.

    Hashing lags behind reading: a block is hashed when the mark has passed it or a digest is asked for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.mark = 0  # bytes; set by the reader to where the row it yields next ends
        self._hash = hashlib.sha256()
        self._hashed = 0  # bytes
        self._held: deque[memoryview] = deque()  # read, and not hashed yet
        self._file: FileIO | None = None
        self.read_bytes = 0  # how far it has been read

    def size(self) -> int:
        """Bytes in the file now. Raises `SettingsError` if it cannot be read."""
        with self._open() as file:
            return os.fstat(file.fileno()).st_size

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all there are. Raises `SettingsError`."""
        with self._open() as file:
            return b"".join(self._blocks(file, size))

    def behind(self, offset: int) -> Iterator[bytes]:
        """The blocks behind `offset` as they are now; whatever is being read is not disturbed. Raises like `size`."""
        with self._open() as file:
            file.seek(offset)
            yield from self._blocks(file, sys.maxsize)

    def start(self, offset: int, *, at_end: bool = False) -> HashedFile:
        """Be ready to give the blocks behind `offset`; use it in a `with` statement, which closes the file.

        Reads what lies before only if `verify` has not done so. Raises `SourceChanged` if the file has become shorter,
        or longer although the cursor was `at_end`.
        """
        self.close()
        self._file = self._open()
        try:
            self._expect_size(os.fstat(self._file.fileno()).st_size, offset, at_end=at_end)
            self.mark = offset
            if self._hashed != offset:
                self._hash_from_start(self._file, offset)
            self._file.seek(offset)
            self.read_bytes = offset
        except ElspethError:
            self.close()
            raise
        return self

    def __enter__(self) -> HashedFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def block(self) -> bytes:
        """The next bytes, empty at the end of the file. Raises `Temporary` if the disk fails."""
        self._hash_to_mark()
        assert self._file is not None, "start comes first"
        block = self._read(self._file, BLOCK_BYTES)
        if block:
            self._held.append(memoryview(block))
            self.read_bytes += len(block)
        return block

    def digest(self) -> str:
        """SHA-256 (hex) of everything before the mark."""
        self._hash_to_mark()
        return self._hash.hexdigest()

    def verify(self, cursor: Cursor, proof: str) -> None:
        """Read everything before the cursor once and compare. Raises `SourceChanged`."""
        offset, line = cursor[0], cursor[1]
        try:
            file = self._open()
        except SettingsError as error:
            raise SourceChanged(
                f"Source file {self.path} was processed up to line {line:,} and cannot be read any more",
                details=(error.message,),
                next_step=_PUT_BACK,
            ) from error
        with file:
            self._expect_size(os.fstat(file.fileno()).st_size, offset, at_end=list(cursor[2:]) == [AT_END], line=line)
            self._hash_from_start(file, offset)
        if self._hash.hexdigest() != proof:
            self._hashed = -1
            raise SourceChanged(
                f"Source file {self.path} was changed: the part processed already, up to line {line:,}, differs",
                details=self._what_moved(offset, line),
                next_step=_PUT_BACK,
            )
        self.mark = offset

    def close(self) -> None:
        """Let go of the file and what was read ahead; the digest up to the mark can still be told."""
        if self._file is None:
            return
        self._hash_to_mark()
        self._held.clear()
        self._file.close()
        self._file = None

    def _open(self) -> FileIO:
        try:
            # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
            number = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _unreadable(self.path, error) from error
        mode = os.fstat(number).st_mode
        if not stat.S_ISREG(mode):
            os.close(number)
            kind = "a directory" if stat.S_ISDIR(mode) else "a pipe or device, which cannot be read again after a crash"
            raise SettingsError(
                f"Source file {self.path} is {kind}", next_step="Give the path of a regular file (copy a pipe to one)."
            )
        return FileIO(number, "rb")

    def _read(self, file: FileIO, size: int) -> bytes:
        try:
            return file.read(size) or b""
        except OSError as error:
            raise Temporary(
                f"Source file {self.path} could not be read: {error.strerror}", next_step="Mend it and resume."
            ) from error

    def _hash_from_start(self, file: FileIO, offset: int) -> None:
        self._hash = hashlib.sha256()
        self._held.clear()
        self._hashed = 0
        file.seek(0)
        for block in self._blocks(file, offset):
            self._hash.update(block)
            self._hashed += len(block)

    def _blocks(self, file: FileIO, size: int) -> Iterator[bytes]:
        while size > 0 and (block := self._read(file, min(size, BLOCK_BYTES))):
            size -= len(block)
            yield block

    def _hash_to_mark(self) -> None:
        """Hash up to the mark."""
        while self._hashed < self.mark:
            if not self._held:
                raise AssertionError(f"the mark {self.mark} lies behind what was read of {self.path}")
            block = self._held.popleft()
            count = min(len(block), self.mark - self._hashed)
            self._hash.update(block[:count])
            self._hashed += count
            if count < len(block):
                self._held.appendleft(block[count:])

    def _expect_size(self, size: int, offset: int, *, at_end: bool, line: int | None = None) -> None:
        if size < offset:
            where = f"byte {offset:,}" + (f" (line {line:,})" if line is not None else "")
            raise SourceChanged(
                f"Source file {self.path} has become shorter: processed up to {where}, it has {size:,} bytes now",
                next_step=_PUT_BACK,
            )
        if at_end and size > offset:
            raise SourceChanged(
                f"Source file {self.path} has grown, but its last line had no line end and was processed as it stood",
                details=(f"{size - offset:,} bytes were added behind byte {offset:,}",),
                next_step="Take the added bytes away and resume, or start a fresh run with --force-new.",
            )

    def _what_moved(self, offset: int, line: int) -> tuple[str, ...]:
        """What can still be told of an edit when only a hash of the old bytes is known."""
        with self._open() as file:
            lines, last = 0, b""
            for block in self._blocks(file, offset):
                lines += block.count(b"\n")
                last = block[-1:]
        if last == b"\n" and lines != line:
            return (f"the first {offset:,} bytes hold {lines:,} line ends now",)
        if last != b"\n":
            return (f"line {lines + 1:,} now runs across byte {offset:,}, where processing had stopped",)
        return ("the number of lines is the same; something inside them differs",)


def refuse_other_kinds(head: bytes, path: Path) -> None:
    """Raise `SettingsError` if a file that begins so is of a kind that holds no lines of text."""
    for mark, kind, advice in _KINDS:
        # A word of text may begin like one of the short marks; compressed data soon has a byte that no text has.
        if head.startswith(mark) and (len(mark) > 3 or min(head) < 9):
            raise SettingsError(f"Source file {path} is {kind}, not text", next_step=advice)


def _unreadable(path: Path, error: OSError) -> ElspethError:
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return SettingsError(
            f"Source file {path} does not exist",
            details=(f"looked in {Path.cwd()}",) if not path.is_absolute() else (),
            next_step="Correct the source's path, or run in the directory it is relative to.",
        )
    return SettingsError(
        f"Source file {path} cannot be read: {error.strerror}", next_step="Make it readable, then try again."
    )
