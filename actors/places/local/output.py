"""Cuts what a child prints into whole lines, and keeps the end of it as evidence. Pure."""

from __future__ import annotations

import codecs
from collections import deque

LONGEST_LINE = 64 * 1024
TAIL_LINES = 40
TAIL_CHARACTERS = 8000


class LineSplitter:
    """Bytes in, lines out. A line that does not end within 64 KiB is handed out in pieces."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._open = ""
        self._last: deque[str] = deque(maxlen=TAIL_LINES)

    def feed(self, data: bytes, *, end: bool = False) -> list[str]:
        """The lines that `data` completes, without their line ends; at the end also the one that has none."""
        *lines, self._open = (self._open + self._decoder.decode(data, end)).split("\n")
        if self._open and (end or len(self._open) > LONGEST_LINE):
            lines.append(self._open)
            self._open = ""
        self._last.extend(lines)
        return lines

    def tail(self) -> str:
        """The last lines, at most about 8000 characters."""
        return "\n".join(self._last)[-TAIL_CHARACTERS:]
