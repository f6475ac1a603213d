"""Keeps a copy of every tail before it is cut off: what stands behind a position may be somebody's edit."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from actors.crash_points import crash_point
from elspeth.durable import create_private, make_folder, sync_folder, write_all
from elspeth.plugins.contract import Cut
from elspeth.plugins.sinks.prefix_hash import blocks

LONGEST_NAME = 255
"""Bytes that a name may have in every file system there is."""


def copy_tail(fd: int, path: Path, offset: int, folder: Path) -> Cut:
    """Copy everything behind `offset` (bytes) of the open file into `folder`, durably, and say where it is.

    The copy is named after the file, the offset and the first digits of its SHA-256, so that a second try at the same
    cut finds its own name again. Raises `OSError`; the file itself is not touched. The caller holds the file's lock:
    what a try at the same file left unfinished is removed.
    """
    make_folder(folder)
    prefix = f".{hashlib.sha256(os.fsencode(path)).hexdigest()[:16]}-"
    for left in folder.glob(f"{prefix}*.part"):
        left.unlink(missing_ok=True)
    digest = hashlib.sha256()
    size = 0
    copy, unfinished = create_private(folder, prefix, ".part")
    try:
        for block in blocks(fd, offset):
            write_all(copy, block)
            digest.update(block)
            size += len(block)
        os.fsync(copy)
    finally:
        os.close(copy)
    sha256 = digest.hexdigest()
    place = folder / shortened(path.name, f"-{offset}-{sha256[:8]}")
    crash_point("sink.before_copy_named")
    unfinished.replace(place)
    sync_folder(folder)
    crash_point("sink.after_copy_named")
    return Cut(path=str(path), copy=str(place), offset=offset, size_bytes=size, sha256=sha256)


def shortened(name: str, suffix: str) -> str:
    """The name with a suffix behind it, cut where both would be longer than a file system allows."""
    room = LONGEST_NAME - len(os.fsencode(suffix))
    while len(os.fsencode(name)) > room:
        name = name[:-1]
    return name + suffix
