"""Keeps a copy of every tail before it is cut off: what stands behind a position may be somebody's edit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from elspeth.plugins.contract import Cut
from elspeth.plugins.sinks.prefix_hash import blocks


def copy_tail(fd: int, path: Path, offset: int, folder: Path) -> Cut:
    """Copy everything behind `offset` (bytes) of the open file into `folder`, durably, and say where it is.

    The copy is named after the file, the offset and the first digits of its SHA-256, so that a second try at the same
    cut finds its own name again. Raises `OSError`; the file itself is not touched.
    """
    make_folder(folder)
    unfinished = folder / f".{path.name}-{offset}.part"
    digest = hashlib.sha256()
    size = 0
    with unfinished.open("wb") as copy:
        for block in blocks(fd, offset):
            copy.write(block)
            digest.update(block)
            size += len(block)
        copy.flush()
        os.fsync(copy.fileno())
    sha256 = digest.hexdigest()
    place = folder / f"{path.name}-{offset}-{sha256[:8]}"
    unfinished.replace(place)
    sync_folder(folder)
    return Cut(path=str(path), copy=str(place), offset=offset, size_bytes=size, sha256=sha256)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; each new name is durable when this returns. Raises `OSError`."""
    missing = []
    here = folder
    while not here.exists():
        missing.append(here)
        here = here.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
        sync_folder(new.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable (a file's own fsync does not cover its name). Raises `OSError`."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
