"""Frames out of bytes that come in by other ways than a socket."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Any, cast

from actors.channel import FrameReader


class FedReader:
    """A `FrameReader` that is handed the bytes of a channel."""

    def __init__(self) -> None:
        self._buffers: deque[memoryview] = deque()
        self._reader = FrameReader(cast("Any", self))

    def frames(self, data: bytes | memoryview) -> Iterator[tuple[int, list[memoryview]]]:
        """The messages that these bytes complete, with their kinds. Raises `FrameRefused`."""
        self._buffers.append(memoryview(data))
        while (frame := self._reader.read()) is not None:
            yield frame

    def recv_into(self, target: memoryview, _size: int, _flags: int) -> int:
        """What a socket would do: as much as there is and fits."""
        if not self._buffers:
            raise BlockingIOError
        some = self._buffers.popleft()
        count = min(len(some), len(target))
        target[:count] = some[:count]
        if count < len(some):
            self._buffers.appendleft(some[count:])
        return count
