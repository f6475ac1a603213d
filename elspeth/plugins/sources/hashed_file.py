"""A file of input read block by block, with proof of what was read: the SHA-256 of all plain bytes before a mark."""

from __future__ import annotations

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from elspeth.errors import ElspethError, SettingsError, SourceChanged
from elspeth.plugins.contract import Cursor
from elspeth.plugins.sources.streams import BLOCK_BYTES, ByteStream, InputFile

AT_END = "end"
"""How a cursor ends behind a last line without a line end: a longer file is a changed one."""

RAW_BYTES = 4096
"""Of a piece that is no row, this much is kept as evidence."""

PUT_BACK = "Put the file back as it was and resume, or start a fresh run with --force-new."


class HashedFile:
    """A file read block by block, with the SHA-256 of everything before a mark that moves forward.

    Hashing lags behind reading: a block is hashed when the mark has passed it or a digest is asked for.
    """

    def __init__(self, file: InputFile | Path) -> None:
        self.source = InputFile(file) if isinstance(file, Path) else file
        self.path = self.source.path
        self.mark = 0  # bytes; set by the reader to where the row it yields next ends
        self.end: int | None = None  # bytes; what lies behind it is not read
        self._hash = hashlib.sha256()
        self._hashed = 0  # bytes
        self._held: deque[memoryview] = deque()  # read, and not hashed yet
        self._stream: ByteStream | None = None
        self._of_all: str | None = None
        self._taken = 0  # bytes of the file, as it lies there, that were read
        self._size_of_all = 0  # the same, when it was settled which lines are not read

    def size(self) -> int | None:
        """Plain bytes in the file now, None where only reading tells. Raises `SettingsError` if it cannot be read."""
        with closing(self._open()) as stream:
            return stream.size()

    def grown_by(self) -> int:
        """Bytes of the file, as it lies there now, behind those that were read. Raises like `size`."""
        with closing(self._open()) as stream:
            return stream.file_size() - (self._taken if self.end is None else self._size_of_all)

    def leave_out(self, begins_at: Callable[[Iterator[bytes]], int]) -> None:
        """Read no further than a place that is found in all blocks as they are now, bytes. Raises like `size`."""
        with closing(self._open()) as stream:
            self._size_of_all = stream.file_size()
            self.end = begins_at(_blocks(stream, sys.maxsize))

    def head(self, size: int) -> bytes:
        """The first `size` bytes, or all there are. Raises `SettingsError`."""
        with closing(self._open()) as stream:
            return b"".join(_blocks(stream, size))

    def behind(self, offset: int) -> Iterator[bytes]:
        """The blocks behind `offset` as they are now, what is left out apart. Whatever is being read is not disturbed.

        Raises like `size`.
        """
        with closing(self._open()) as stream:
            stream.skip_to(offset)
            yield from _blocks(stream, sys.maxsize if self.end is None else self.end - offset)

    def start(self, offset: int, *, at_end: bool = False) -> HashedFile:
        """Be ready to give the blocks behind `offset`; use it in a `with` statement, which closes the file.

        Reads what lies before only if `verify` has not done so. Raises `SourceChanged` if the file has become shorter,
        or longer although the cursor was `at_end`.
        """
        if self._stream is None or self._stream.position != offset or self._held:
            self.close()
            self._stream = self._open()
        stream = self._stream
        try:
            if self._hashed != offset:
                self._hash_from_start(stream, offset)
            elif (size := stream.size()) is not None:
                self._expect_length(size, offset, None)
            self._expect_end(stream, offset, at_end=at_end)
            self.mark = offset
            stream.skip_to(offset)
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
        stream = self._stream
        assert stream is not None, "start comes first"
        left = BLOCK_BYTES if self.end is None else max(0, min(BLOCK_BYTES, self.end - stream.position))
        block = stream.read(left) if left else b""
        if block:
            self._held.append(memoryview(block))
        elif left:
            self._of_all = _with(self._hash, self._held)
        return block

    def digest_of_all(self) -> str:
        """SHA-256 (hex) of all plain bytes, read anew unless the end was reached. Raises like `size`."""
        if self._of_all is None:
            with closing(self._open()) as stream:
                self._of_all = _with(hashlib.sha256(), _blocks(stream, sys.maxsize))
        return self._of_all

    def digest(self) -> str:
        """SHA-256 (hex) of everything before the mark."""
        self._hash_to_mark()
        return self._hash.hexdigest()

    def verify(self, cursor: Cursor, proof: str) -> None:
        """Read everything before the cursor once and compare. Raises `SourceChanged`."""
        self.reach(cursor)
        if self._hash.hexdigest() != proof:
            self.close()
            self._hashed = -1
            raise SourceChanged(
                f"Source file {self.path} was changed: the part processed already, up to line {cursor[1]:,}, differs",
                details=self._what_moved(cursor[0], cursor[1]),
                next_step=PUT_BACK,
            )

    def reach(self, cursor: Cursor) -> None:
        """Read everything before the cursor once, so that `digest` answers its hash. Raises `SourceChanged`."""
        offset, line = cursor[0], cursor[1]
        self.close()
        try:
            stream = self._stream = self._open()
        except SettingsError as error:
            raise SourceChanged(
                f"Source file {self.path} was processed up to line {line:,} and cannot be read any more",
                details=(error.message,),
                next_step=PUT_BACK,
            ) from error
        try:
            self._hash_from_start(stream, offset, line)
            self._expect_end(stream, offset, at_end=list(cursor[2:]) == [AT_END])
        except ElspethError:
            self.close()
            raise
        self.mark = offset
        if stream.size() is not None:  # `start` gets there at once; what had to be unpacked is not unpacked again
            self.close()

    def close(self) -> None:
        """Let go of the file and what was read ahead; the digest up to the mark can still be told."""
        if self._stream is None:
            return
        self._hash_to_mark()
        self._held.clear()
        self._taken = self._stream.taken()
        self._stream.close()
        self._stream = None

    def _open(self) -> ByteStream:
        return self.source.open()

    def _hash_from_start(self, stream: ByteStream, offset: int, line: int | None = None) -> None:
        size = stream.size()
        if size is not None:  # else only reading tells
            self._expect_length(size, offset, line)
        self._hash = hashlib.sha256()
        self._held.clear()
        self._hashed = 0
        stream.skip_to(0)
        for block in _blocks(stream, offset):
            self._hash.update(block)
            self._hashed += len(block)
        self._expect_length(self._hashed, offset, line)

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

    def _expect_length(self, size: int, offset: int, line: int | None) -> None:
        if size < offset:
            where = f"byte {offset:,}" + (f" (line {line:,})" if line is not None else "")
            raise SourceChanged(
                f"Source file {self.path} has become shorter: processed up to {where}, it has {size:,} bytes now",
                next_step=PUT_BACK,
            )

    def _expect_end(self, stream: ByteStream, offset: int, *, at_end: bool) -> None:
        """Raise `SourceChanged` if something stands behind a row that had no end of its own."""
        size = stream.size()
        if not at_end or size == offset:
            return
        added = f"{size - offset:,} bytes" if size is not None else "something" if stream.read(1) else ""
        if added:
            raise SourceChanged(
                f"Source file {self.path} has grown, but its last line had no line end and was processed as it stood",
                details=(f"{added} {'were' if size else 'was'} added behind byte {offset:,}",),
                next_step="Take the added bytes away and resume, or start a fresh run with --force-new.",
            )

    def _what_moved(self, offset: int, line: int) -> tuple[str, ...]:
        """What can still be told of an edit when only a hash of the old bytes is known."""
        with closing(self._open()) as stream:
            lines, last = 0, b""
            for block in _blocks(stream, offset):
                lines += block.count(b"\n")
                last = block[-1:]
        if last == b"\n" and lines != line:
            return (f"the first {offset:,} bytes hold {lines:,} line ends now",)
        if last != b"\n":
            return (f"line {lines + 1:,} now runs across byte {offset:,}, where processing had stopped",)
        return ("the number of lines is the same; something inside them differs",)


def _blocks(stream: ByteStream, size: int) -> Iterator[bytes]:
    while size > 0 and (block := stream.read(min(size, BLOCK_BYTES))):
        size -= len(block)
        yield block


def _with(digest: Any, blocks: Iterable[bytes | memoryview]) -> str:
    """What a running hash comes to with more; it is left as it was."""
    more = digest.copy()
    for block in blocks:
        more.update(block)
    return str(more.hexdigest())
