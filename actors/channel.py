"""Framed socket pair: a message is a list of byte parts, whose boundaries are kept; end of file means the peer is gone.

A frame is a header (kind, number of parts, length of the body), then the body: the length of each part, then the
parts. Numbers are little-endian. A body is received into one buffer and handed out as views on it.

A message larger than a frame may be travels as several: all but the last are of kind `PIECE`, and the last part of each
goes on in the first part of the next. The receiver puts them together, so nobody else knows.
"""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence

Part = bytes | memoryview

DATA, START, READY, STOP, PIECE = range(5)
"""Kinds of frame: a message; the first frame to a child; a child's actor exists; a child is asked to stop; the
beginning of a message that goes on in the next frame."""

MAX_FRAME_BYTES = 1 << 30
MAX_PARTS = 1 << 16

_HEADER = struct.Struct("<BxxxIQ")
_BUFFERS_PER_CALL = 256  # below IOV_MAX (1024)


class ChannelClosed(ConnectionError):
    """The peer is gone: it ended, or closed its end. A frame it had not sent completely is dropped."""


class FrameRefused(ValueError):
    """A message of too many parts, or bytes that are no frame."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends, with the largest buffers the system grants unprivileged processes."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    for end in ends:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    return ends


def encode(kind: int, parts: Sequence[Part]) -> list[Part]:
    """The buffers to be sent for a message, in as many frames as it needs; the parts are not copied.

    Raises `FrameRefused` on more than `MAX_PARTS` parts.
    """
    views: list[Part] = [part if isinstance(part, bytes) else memoryview(part).cast("B") for part in parts]
    if len(views) > MAX_PARTS:
        raise FrameRefused(f"a message of {len(views)} parts; the limit is {MAX_PARTS}")
    if 8 * len(views) + sum(map(len, views)) <= MAX_FRAME_BYTES:
        return _frame(kind, views)
    *pieces, last = _pieces(views)
    return [*(buffer for piece in pieces for buffer in _frame(PIECE, piece)), *_frame(kind, last)]


def _frame(kind: int, views: list[Part]) -> list[Part]:
    lengths = [len(view) for view in views]
    count = len(views)
    return [_HEADER.pack(kind, count, 8 * count + sum(lengths)) + struct.pack(f"<{count}Q", *lengths), *views]


def _pieces(views: list[Part]) -> Iterator[list[Part]]:
    """The parts in groups that fit a frame each; the last part of a group goes on in the first of the next."""
    piece: list[Part] = []
    room = MAX_FRAME_BYTES
    for number, view in enumerate(views):
        rest = memoryview(view)
        while True:
            taken = rest[: max(0, room - 8)]
            rest = rest[len(taken) :]
            piece.append(taken)
            room -= 8 + len(taken)
            if not rest and (room >= 8 or number == len(views) - 1):
                break
            # Where the part ends with the frame, the next one begins with nothing of it.
            yield piece
            piece, room = [], MAX_FRAME_BYTES
    yield piece


class Outgoing:
    """Bytes on their way out of one end, in order. Not thread-safe: the owner locks."""

    __slots__ = ("_buffers",)

    def __init__(self) -> None:
        self._buffers: deque[Part] = deque()

    @property
    def size(self) -> int:
        """Bytes that are not sent yet."""
        return sum(map(len, self._buffers))

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

    __slots__ = ("_body", "_count", "_fill", "_have", "_head", "_held", "_kind", "_sock")

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._head = memoryview(bytearray(_HEADER.size))
        self._body = False
        self._fill = self._head
        self._have = 0
        self._kind = self._count = 0
        self._held: list[list[memoryview]] = []  # per part, what has come of a message in several frames

    def read(self) -> tuple[int, list[memoryview]] | None:
        """The next complete message (kind, parts), or None if it has not all arrived yet.

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
                kind, parts = self._frame()
                if kind == PIECE or self._held:
                    self._hold(parts)
                if kind == PIECE:
                    continue
                return kind, self._whole() if self._held else parts
            self._kind, self._count, size = _HEADER.unpack(self._head)
            if size > MAX_FRAME_BYTES or self._count > MAX_PARTS or size < 8 * self._count or self._kind > PIECE:
                raise FrameRefused(f"no frame: kind {self._kind}, {self._count} parts, {size} bytes")
            self._begin(memoryview(bytearray(size)), body=True)

    def _begin(self, buffer: memoryview, *, body: bool) -> None:
        self._fill, self._have, self._body = buffer, 0, body

    def _hold(self, parts: list[memoryview]) -> None:
        pieces = [[part] for part in parts]
        if self._held and pieces:
            self._held[-1] += pieces.pop(0)
        self._held += pieces

    def _whole(self) -> list[memoryview]:
        held, self._held = self._held, []
        return [pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces)) for pieces in held]

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
