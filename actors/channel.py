"""Framed socket pair: a message is a list of byte parts, whose boundaries are kept; end of file means the peer is gone.

A frame is a header (kind, number of parts, length of the body), then the body: the length of each part, then the
parts. Numbers are little-endian. A body is received into one buffer and handed out as views on it.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Sequence

Part = bytes | memoryview

DATA, START, READY, STOP = range(4)
"""Kinds of frame: a message; the first frame to a child; a child's actor exists; a child is asked to stop."""

MAX_FRAME_BYTES = 1 << 30
MAX_PARTS = 1 << 16

_HEADER = struct.Struct("<BxxxIQ")
_BUFFERS_PER_CALL = 256  # below IOV_MAX (1024)


class ChannelClosed(ConnectionError):
    """The peer is gone: it ended, or closed its end. A frame it had not sent completely is dropped."""


class FrameRefused(ValueError):
    """A frame over the limits: too many bytes or parts, or bytes that are no frame."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, with the largest buffers the system grants unprivileged processes."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return ends


def encode(kind: int, parts: Sequence[Part]) -> list[Part]:
    """The buffers to be sent for a frame; the parts are not copied. Raises `FrameRefused`."""
    views: list[Part] = [part if isinstance(part, bytes) else memoryview(part).cast("B") for part in parts]
    lengths = [len(view) for view in views]
    count = len(views)
    body = 8 * count + sum(lengths)
    if body > MAX_FRAME_BYTES or count > MAX_PARTS:
        raise FrameRefused(
            f"a frame of {body} bytes in {count} parts; the limits are {MAX_FRAME_BYTES} bytes and {MAX_PARTS} parts"
        )
    return [_HEADER.pack(kind, count, body) + struct.pack(f"<{count}Q", *lengths), *views]


class Outgoing:
    """Bytes on their way out of one end, in order. Not thread-safe: the owner locks."""

    __slots__ = ("_buffers",)

    def __init__(self) -> None:
        self._buffers: deque[Part] = deque()

    def put(self, buffers: list[Part]) -> None:
        """Queue the buffers of one frame."""
        self._buffers.extend(buffers)

    def flush(self, sock: socket.socket, flags: int = 0) -> bool:
        """Send what the socket takes; whether everything is sent. Raises `ChannelClosed`.

        With the flag MSG_DONTWAIT it returns False instead of blocking.
        """
        buffers = self._buffers
        while buffers:
            some = [buffers[index] for index in range(min(len(buffers), _BUFFERS_PER_CALL))]
            try:
                sent = sock.sendmsg(some, (), flags)
            except BlockingIOError:
                return False
            except (BrokenPipeError, ConnectionResetError) as error:
                raise ChannelClosed(str(error)) from error
            while buffers and sent >= len(buffers[0]):
                sent -= len(buffers.popleft())
            if sent:
                buffers[0] = memoryview(buffers[0])[sent:]
        return True


class FrameReader:
    """Takes frames off one end, never blocking, however the bytes arrive."""

    __slots__ = ("_body", "_count", "_fill", "_have", "_head", "_kind", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._head = memoryview(bytearray(_HEADER.size))
        self._body = False
        self._fill = self._head
        self._have = 0
        self._kind = self._count = 0

    def read(self) -> tuple[int, list[memoryview]] | None:
        """The next complete frame (kind, parts), or None if it has not all arrived yet.

        Raises `ChannelClosed` when the peer is gone, and `FrameRefused` on bytes that are no frame.
        """
        while True:
            while self._have < len(self._fill):
                try:
                    got = self._sock.recv_into(self._fill[self._have :], 0, socket.MSG_DONTWAIT)
                except BlockingIOError:
                    return None
                except ConnectionResetError as error:  # it died with unread frames of ours
                    raise ChannelClosed(str(error)) from error
                if not got:
                    raise ChannelClosed("end of file")
                self._have += got
            if self._body:
                return self._frame()
            self._kind, self._count, size = _HEADER.unpack(self._head)
            if size > MAX_FRAME_BYTES or self._count > MAX_PARTS or size < 8 * self._count or self._kind > STOP:
                raise FrameRefused(f"no frame: kind {self._kind}, {self._count} parts, {size} bytes")
            self._begin(memoryview(bytearray(size)), body=True)

    def _begin(self, buffer: memoryview, *, body: bool) -> None:
        self._fill, self._have, self._body = buffer, 0, body

    def _frame(self) -> tuple[int, list[memoryview]]:
        body, count = self._fill.toreadonly(), self._count
        self._begin(self._head, body=False)
        start = 8 * count
        parts = []
        for length in struct.unpack_from(f"<{count}Q", body):
            parts.append(body[start : start + length])
            start += length
        if start != len(body):
            raise FrameRefused(f"no frame: parts of {start - 8 * count} bytes in a body of {len(body)}")
        return self._kind, parts
