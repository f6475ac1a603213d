"""Proof of a file's beginning: its SHA-256 up to a size, read once and compared with what was recorded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from elspeth.errors import OutputDamaged

if TYPE_CHECKING:
    from hashlib import _Hash

BLOCK = 1 << 20
"""Bytes read at once: large enough that hashing, not the system call, is what takes the time."""

EMPTY = hashlib.sha256().hexdigest()
"""The proof of nothing."""

_START_FRESH = (
    "Put the file back as it was and resume, or start fresh: elspeth run --settings PIPELINE.yaml --execute --force-new"
)


def blocks(fd: int, start: int, end: int | None = None) -> Iterator[memoryview]:
    """The bytes of an open file from `start` to `end` (or to its end), in views that are valid until the next one."""
    buffer = bytearray(BLOCK)
    view = memoryview(buffer)
    while end is None or start < end:
        want = BLOCK if end is None else min(BLOCK, end - start)
        count = os.preadv(fd, [view[:want]], start)
        if count == 0:
            return
        start += count
        yield view[:count]


def running_hash(fd: int, size: int, sha256: str, path: str) -> _Hash:
    """A hash that has seen the first `size` bytes and goes on from there.

    Raises `OutputDamaged`, naming `path`, if the file is shorter than that or if the bytes are not those of `sha256`.
    """
    digest = hashlib.sha256()
    seen = 0
    for block in blocks(fd, 0, size):
        digest.update(block)
        seen += len(block)
    compare(path, size, sha256, seen, digest.hexdigest())
    return digest


def digest_file(path: Path) -> tuple[int, str]:
    """Size (bytes) and SHA-256 (hex) of a whole file. Raises `OSError`."""
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        for block in blocks(file.fileno(), 0):
            digest.update(block)
            size += len(block)
    return size, digest.hexdigest()


def copy_beginning(old: int, new: int, size: int, sha256: str, path: str) -> _Hash:
    """Copy the first `size` bytes of one open file to the start of another; else like `running_hash`."""
    digest = hashlib.sha256()
    seen = 0
    for block in blocks(old, 0, size):
        digest.update(block)
        done = 0
        while done < len(block):
            done += os.pwrite(new, block[done:], seen + done)
        seen += len(block)
    compare(path, size, sha256, seen, digest.hexdigest())
    return digest


def compare(path: str, size: int, sha256: str, found_size: int, found_sha256: str) -> None:
    """Raise `OutputDamaged` unless what was found in the file is what was recorded."""
    if found_size < size:
        raise OutputDamaged(
            f"Output {path} was shortened: it holds {found_size:,} bytes, the checkpoint says {size:,}.",
            details=(f"{size - found_size:,} bytes that were committed are missing.", "Nothing was changed."),
            next_step=_START_FRESH,
        )
    if found_sha256 != sha256:
        raise OutputDamaged(
            f"Output {path} was edited: its first {size:,} bytes are not those that were committed.",
            details=(f"SHA-256 recorded: {sha256}", f"SHA-256 found:    {found_sha256}", "Nothing was changed."),
            next_step=_START_FRESH,
        )


def deleted(path: str, size: int) -> OutputDamaged:
    """The error for an output that is gone although `size` bytes of it were committed."""
    return OutputDamaged(
        f"Output {path} is missing: it was deleted or moved, and {size:,} bytes of it were committed.",
        details=("Nothing was changed.",),
        next_step=_START_FRESH,
    )


def disturbed(path: str, found: str) -> OutputDamaged:
    """The error for an output that somebody changed while this process was writing it."""
    return OutputDamaged(
        f"Output {path} {found} while it was being written.",
        details=("Either another program touched it, or another attempt took this run over.",),
        next_step=_START_FRESH,
    )
