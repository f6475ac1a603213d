"""Compressed bytes as other programs make them, and what is in a compressed file: without any code of ours."""

from __future__ import annotations

import bz2
import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import zstandard

PACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": zstandard.compress,
}


def _unpack_zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()


UNPACK: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress, ".zst": _unpack_zstd,
}  # fmt: skip


def plain_bytes(path: Path) -> bytes:
    """What is in a file, unpacked if its suffix says that it is compressed."""
    data = path.read_bytes()
    unpack = UNPACK.get(path.suffix)
    return unpack(data) if unpack and data else data


def plain_suffix(path: Path) -> str:
    """The suffix of a path, or the one in front of it if that says how the file is compressed."""
    return path.with_suffix("").suffix if path.suffix in UNPACK else path.suffix
