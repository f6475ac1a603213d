"""A conversation over a way that promises neither order nor that a thing comes once: in numbered pieces. Pure.

What is said is cut into pieces of less than 90 kB, and what is small is gathered in one. A piece that comes again is
dropped, one that comes early waits for its turn; so what is lost silences all that comes after it, beats too, and is
found out as silence. Bulk is sent only as far as the other side has let go of what it got: that bounds the memory of
both. Anything else overtakes bulk.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterator

Bytes = bytes | memoryview

PIECE_BYTES = 80_000
"""Ray takes arguments and answers of up to 100 kB along with the call; larger ones go by way of a store, slowly."""

WINDOW_BYTES = 8 << 20
"""So much bulk may be on its way, each way: at 50 ms there and back, 160 MB a second."""

STREAMS = 16
"""Kinds below this are streams: how one is cut means nothing. All others arrive as they were said."""

_HEADER = struct.Struct("<QQ")  # number of the piece; how many bytes of bulk its sender has let go of
_ITEM = struct.Struct("<BBI")  # kind; whether it is bulk, goes on in the next item; length
_BULK, _MORE = 1, 2


class PieceRefused(ValueError):
    """Bytes that are no piece."""


class Conversation:
    """One end of it. Not thread-safe: the owner locks.

    `say` and `put` queue, `pieces` is what may be sent now, `hear` takes what came, `let_go` says that bulk which was
    heard takes no memory here any more.
    """

    def __init__(self, window: int = WINDOW_BYTES, piece_bytes: int = PIECE_BYTES) -> None:
        self._window, self._piece_bytes = window, piece_bytes
        self._words: deque[tuple[int, Bytes]] = deque()
        self._bulk: deque[tuple[int, memoryview]] = deque()
        self.queued = 0
        """Bytes of bulk that are not sent yet."""
        self._number = self._sent = self._let_go_there = 0
        self.heard = 0
        """Pieces that were heard, each once and in its turn: while it grows, there is somebody."""
        self._early: dict[int, bytes] = {}
        self._halves: dict[tuple[int, int], list[Bytes]] = {}
        self._let_go = self._let_go_said = 0

    def say(self, kind: int, data: Bytes = b"") -> None:
        """Queue a few words, ahead of all bulk."""
        self._words.append((kind, data))

    def put(self, kind: int, data: Bytes = b"") -> None:
        """Queue bulk, behind all other bulk. It must not change any more."""
        self._bulk.append((kind, memoryview(data).cast("B") if data else memoryview(b"")))
        self.queued += len(data)

    @property
    def settled(self) -> bool:
        """Whether all that was put has been sent, and the other side has let go of it."""
        return not self._bulk and self._sent == self._let_go_there

    def pieces(self) -> Iterator[bytes]:
        """The pieces that may be sent now."""
        while self._words or self._may_put() or self._let_go - self._let_go_said >= self._window // 4:
            yield self._piece()

    def hear(self, piece: bytes) -> list[tuple[int, Bytes]]:
        """What is known now that was not before, in order: (kind, data). Raises `PieceRefused`."""
        if len(piece) < _HEADER.size:
            raise PieceRefused(f"no piece: {len(piece)} bytes")
        number, let_go = _HEADER.unpack_from(piece)
        if let_go > self._sent:
            raise PieceRefused(f"no piece: of {self._sent} bytes it has let go of {let_go}")
        self._let_go_there = max(self._let_go_there, let_go)
        if number >= self.heard:
            self._early.setdefault(number, piece)
        found: list[tuple[int, Bytes]] = []
        while (next_one := self._early.pop(self.heard, None)) is not None:
            self.heard += 1
            found += self._items(memoryview(next_one)[_HEADER.size :])
        return found

    def let_go(self, count: int) -> None:
        """So many bytes more of what came as bulk are not kept here any more."""
        self._let_go += count

    # --- sending ------------------------------------------------------------------------------------------------

    def _may_put(self) -> bool:
        return bool(self._bulk) and self._sent - self._let_go_there < self._window

    def _piece(self) -> bytes:
        parts: list[Bytes] = [_HEADER.pack(self._number, self._let_go)]
        self._number += 1
        self._let_go_said = self._let_go
        room = self._piece_bytes - _HEADER.size
        while self._words and room > _ITEM.size:
            kind, data = self._words.popleft()
            data, rest = data[: room - _ITEM.size], data[room - _ITEM.size :]
            if rest:
                self._words.appendleft((kind, rest))
            parts += (_ITEM.pack(kind, _MORE if rest else 0, len(data)), data)
            room -= _ITEM.size + len(data)
        while not self._words and room > _ITEM.size and self._may_put():
            room -= self._put_item(parts, room - _ITEM.size)
        return b"".join(parts)

    def _put_item(self, parts: list[Bytes], room: int) -> int:
        """Add one item of bulk, as far as there is room: of a stream, all that stands one after the other."""
        kind = self._bulk[0][0]
        header = len(parts)
        parts.append(b"")
        taken = 0
        more = False
        while self._bulk and self._bulk[0][0] == kind and taken < room:
            _, data = self._bulk.popleft()
            some, rest = data[: room - taken], data[room - taken :]
            parts.append(some)
            taken += len(some)
            if more := len(rest) > 0:
                self._bulk.appendleft((kind, rest))
            if kind >= STREAMS:
                break
        parts[header] = _ITEM.pack(kind, _BULK | (_MORE if more else 0), taken)
        self._sent += taken
        self.queued -= taken
        return _ITEM.size + taken

    # --- hearing ------------------------------------------------------------------------------------------------

    def _items(self, body: memoryview) -> Iterator[tuple[int, Bytes]]:
        while body:
            if len(body) < _ITEM.size:
                raise PieceRefused(f"no piece: {len(body)} bytes after its last item")
            kind, flags, length = _ITEM.unpack_from(body)
            data = body[_ITEM.size : _ITEM.size + length]
            if len(data) < length:
                raise PieceRefused(f"no piece: an item of {length} bytes with {len(data)}")
            body = body[_ITEM.size + length :]
            if kind < STREAMS:
                yield kind, data
                continue
            halves = self._halves.setdefault((kind, flags & _BULK), [])
            halves.append(data)
            if flags & _BULK:
                self._let_go += length
            if not flags & _MORE:
                del self._halves[kind, flags & _BULK]
                yield kind, data if len(halves) == 1 else b"".join(halves)
