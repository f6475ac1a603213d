"""The plain bytes of a compressed file, member after member, within bounded memory.

What gzip, bzip2, xz and zstd call members, streams or frames may stand one behind the other (RFC 1952, 2.2; RFC 8878,
3.1). A file that ends inside one, or goes on with something else behind the last, is not taken for a whole one.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any, Protocol

from elspeth.plugins.compression.kinds import Kind

TAKEN_BYTES = 1 << 16
"""Bytes of the file that are handed to a decoder at once, where it says itself how much it makes of them."""

_ZSTD_TAKEN_BYTES = 1 << 11  # a zstd block of four bytes may stand for 128 KiB, and the decoder returns all at once

FREE_BYTES = 16 << 20
"""Plain bytes that a file may hold whatever its size: repetitions make small files large without any harm."""


class Damaged(Exception):
    """The file is not a whole compressed file; the message says what was found, as the end of a sentence."""


class NotOfKind(Damaged):
    """The file does not even begin like one of its kind; the message is how it begins."""


class TooLarge(Exception):
    """The file holds more than it may; the message says what was found, as the end of a sentence."""


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...
    @property
    def needs_input(self) -> bool: ...


class Unpacker:
    """Reads plain bytes out of a compressed file; `read_file` gives the next bytes of the file, empty at its end.

    `most` bounds the plain bytes, as a multiple of the bytes of the file that hold them; None: whatever comes.
    """

    def __init__(self, kind: Kind, read_file: Callable[[int], bytes], most: int | None) -> None:
        self._kind = kind
        self._read_file = read_file
        self._most = most
        self._decoder: _Decoder | None = None
        self._waiting = b""  # taken from the file, and not given to a decoder
        self._taken = 0  # bytes of the file
        self._members = 0
        self._step = _ZSTD_TAKEN_BYTES if kind.name == "zstd" else TAKEN_BYTES
        self._left = b""  # unpacked, and not asked for yet
        self._broken: Damaged | None = None
        self.position = 0  # plain bytes that were given

    def read(self, size: int) -> bytes:
        """At most `size` plain bytes, as many as there are in one go; empty at the end of the file.

        Raises `Damaged`, `NotOfKind`, `TooLarge`, and what `read_file` raises.
        """
        parts, room = [], size
        while room > 0 and self._broken is None:
            piece, self._left = self._left[:room], self._left[room:]
            if not piece:
                try:
                    self._left = self._next(room)
                except Damaged as error:
                    self._broken = error
                    break  # what came before is whole
                if not self._left:
                    break
                continue
            parts.append(piece)
            room -= len(piece)
        if self._broken is not None and not parts:
            raise self._broken
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        self.position += len(data)
        if self._most is not None and self.position > max(FREE_BYTES, self._most * self._taken):
            raise TooLarge(f"its first {self._taken:,} bytes hold more than {self._most:,} times as many")
        return data

    def _next(self, size: int) -> bytes:
        """Some plain bytes, empty at the end."""
        while True:
            if self._decoder is None and not self._begin():
                return b""
            decoder = self._decoder
            assert decoder is not None
            if decoder.needs_input and not self._waiting and not self._take(self._step):
                raise Damaged(f"ends in the middle: it is cut off behind {self._taken:,} bytes")
            given, self._waiting = self._waiting[: self._step], self._waiting[self._step :]
            try:
                data = decoder.decompress(given, size)
            except Exception as error:
                if not isinstance(error, (zlib.error, OSError, EOFError, lzma.LZMAError)) and not _of_zstd(error):
                    raise
                raise Damaged(f"is damaged behind {self.position:,} plain bytes: {error}") from error
            if decoder.eof:
                self._waiting = decoder.unused_data + self._waiting
                self._decoder = None
            if data:
                return data

    def _begin(self) -> bool:
        """Begin the next member; False if there is none."""
        kind = self._kind
        while len(self._waiting) < 6 and self._take(self._step):
            pass
        if self._members and kind.padded and self._waiting[:1] == b"\0":
            while not self._waiting.strip(b"\0"):
                self._waiting = b""
                if not self._take(self._step):
                    return False
            self._waiting = self._waiting.lstrip(b"\0")
        if not self._waiting:
            return False
        if not kind.begins(self._waiting[:6]):
            if not self._members:
                raise NotOfKind(repr(self._waiting[:12])[1:])
            raise Damaged(f"goes on behind its end, with something that is not {kind.name}: {self._waiting[:12]!r}")
        self._members += 1
        self._decoder = _decoder(kind)
        return True

    def _take(self, size: int) -> bool:
        data = self._read_file(size)
        self._taken += len(data)
        self._waiting += data
        return bool(data)


def _of_zstd(error: Exception) -> bool:
    return type(error).__name__ == "ZstdError"


def _decoder(kind: Kind) -> _Decoder:
    if kind.name == "bzip2":
        return bz2.BZ2Decompressor()
    if kind.name == "xz":
        return lzma.LZMADecompressor(lzma.FORMAT_XZ)
    return _Gzip() if kind.name == "gzip" else _Zstd()


class _Gzip:
    """zlib's decoder behind the interface that the other two of the standard library share."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(16 + zlib.MAX_WBITS)
        self._held = b""

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._held

    def decompress(self, data: bytes, max_length: int) -> bytes:
        plain = self._inner.decompress(self._held + data, max_length)
        self._held = self._inner.unconsumed_tail
        return plain


class _Zstd:
    """zstandard's decoder, which takes no limit: it is given little at once."""

    needs_input = True

    def __init__(self) -> None:
        import zstandard  # an extra, and only needed for files of this kind

        self._inner: Any = zstandard.ZstdDecompressor().decompressobj()

    @property
    def eof(self) -> bool:
        return bool(self._inner.eof)

    @property
    def unused_data(self) -> bytes:
        return bytes(self._inner.unused_data)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return bytes(self._inner.decompress(data))
