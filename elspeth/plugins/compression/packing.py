"""Writes compressed bytes in members that stand each for itself: behind each a reader can stop and a writer go on."""

from __future__ import annotations

import bz2
import lzma
import zlib
from typing import Any, Protocol

from elspeth.plugins.compression.kinds import Kind


class _Encoder(Protocol):
    def compress(self, data: bytes, /) -> bytes: ...
    def flush(self) -> bytes: ...


class Packer:
    """Compresses what it is given, in order. The bytes say nothing of the time or the machine."""

    def __init__(self, kind: Kind) -> None:
        self._kind = kind
        self._member: _Encoder | None = None

    @property
    def inside(self) -> bool:
        """Whether a member was begun and not ended."""
        return self._member is not None

    def add(self, data: bytes) -> bytes:
        """Compress more, in the member at hand or a new one; answers what can be written so far."""
        if self._member is None:
            self._member = _encoder(self._kind)
        return bytes(self._member.compress(data))

    def end(self) -> bytes:
        """The rest of the member at hand; nothing if there is none."""
        member, self._member = self._member, None
        return b"" if member is None else bytes(member.flush())


def _encoder(kind: Kind) -> _Encoder:
    if kind.name == "gzip":
        return zlib.compressobj(6, zlib.DEFLATED, 16 + zlib.MAX_WBITS)  # zlib's own header: no name, no time
    if kind.name == "bzip2":
        return bz2.BZ2Compressor()
    if kind.name == "xz":
        return lzma.LZMACompressor(lzma.FORMAT_XZ)
    import zstandard  # an extra, and only needed for files of this kind

    encoder: Any = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    return encoder  # type: ignore[no-any-return]
