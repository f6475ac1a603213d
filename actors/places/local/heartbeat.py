"""One shared page per child: what must be seen from outside while it runs, and must survive its death."""

from __future__ import annotations

import mmap
import os

from actors.heartbeat import BEAT, DETAIL, POSITION, TAKEN

SIZE = 4096


class HeartbeatPage:
    """The page as 64-bit words, each written by one side only.

    An aligned word is stored by one instruction, so a reader never sees half of it; two words can be seen apart.
    """

    __slots__ = ("_map", "words")

    def __init__(self, fd: int) -> None:
        """Map the page behind `fd`, which may be closed afterwards."""
        self._map = mmap.mmap(fd, SIZE)
        self.words = memoryview(self._map).cast("q")

    @staticmethod
    def create() -> tuple[HeartbeatPage, int]:
        """A new page and the descriptor to hand to the child. The caller closes the descriptor."""
        fd = os.memfd_create("heartbeat")
        try:
            os.ftruncate(fd, SIZE)
            heartbeat_page = HeartbeatPage(fd)
        except OSError:
            os.close(fd)
            raise
        heartbeat_page.words[POSITION] = -1
        return heartbeat_page, fd

    def progress(self) -> tuple[int, int, int, int]:
        """A value that changes when the child gets on: beats, frames taken, what it is touching."""
        words = self.words
        return words[BEAT], words[TAKEN], words[POSITION], words[DETAIL]

    def close(self) -> None:
        """Let go of the page."""
        self.words.release()
        self._map.close()
