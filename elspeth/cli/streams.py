"""The three standard streams as a command needs them: there, and never in the way of its work.

A descriptor that was closed is opened on nothing, or the next file that is opened would take its number, and whatever
is printed would go into it. A write that fails loses its text, not the run; what was lost is asked for at the end.
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
from typing import Any, TextIO

SEEN_ENOUGH = (errno.EPIPE, errno.EIO)
"""The reader has gone: `elspeth status | head`, a terminal that was closed."""


class _Forgiving(io.FileIO):
    """A descriptor that takes everything; `lost` says why something did not arrive."""

    def __init__(self, descriptor: int, lost: OSError | None) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._closed_from_the_start = lost
        self.lost: OSError | None = None

    def write(self, data: Any, /) -> int:
        size = memoryview(data).nbytes
        self.lost = self.lost or self._closed_from_the_start
        while self.lost is None:
            try:
                written = super().write(data)
            except OSError as error:
                self.lost = error
            else:
                if written is not None:
                    return written
                select.select([], [self], [])  # a full pipe that does not block
        return size


_guards: dict[str, _Forgiving] = {}


def guard() -> None:
    """Make the streams of this process safe. Before anything else is opened."""
    missing = _open_missing()
    for name, descriptor in (("stdout", 1), ("stderr", 2)):
        before: TextIO | None = getattr(sys, name)
        if before is not None:
            before.flush()
        why = OSError(errno.EBADF, "it is closed") if descriptor in missing else None
        raw = _guards[name] = _Forgiving(descriptor, why)
        stream = io.TextIOWrapper(
            io.BufferedWriter(raw), encoding=before.encoding if before is not None else "utf-8",
            errors="backslashreplace", line_buffering=name == "stderr" or raw.isatty(),
        )  # fmt: skip
        setattr(sys, name, stream)


def lost_result() -> str | None:
    """Why something that was written to standard output did not arrive; None if all did, or the reader had enough."""
    raw = _guards.get("stdout")
    if raw is None:
        return None
    sys.stdout.flush()
    if raw.lost is None or raw.lost.errno in SEEN_ENOUGH:
        return None
    return raw.lost.strerror or str(raw.lost)


def _open_missing() -> set[int]:
    missing = set()
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            missing.add(descriptor)
            found = os.open(os.devnull, os.O_RDWR)  # the lowest free number
            if found != descriptor:
                os.dup2(found, descriptor)
                os.close(found)
            os.set_inheritable(descriptor, True)
    return missing
