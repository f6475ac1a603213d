"""What is asked of a fork server, and how it travels: a JSON text, led by its length, with descriptors beside it.

Both ends are of one program on one machine. An answer is a status and a number, of fixed size, so it arrives whole.
"""

from __future__ import annotations

import json
import socket
import struct
from array import array
from typing import Any, NamedTuple

FORK, REAP = "fork", "reap"

ANSWER = struct.Struct("<ii")
"""An error number of the system, 0 for none; then the pid of a new child, or how one ended (negative: a signal)."""

_LENGTH = struct.Struct("<I")
_MOST_DESCRIPTORS = 4


class SpawnRequest(NamedTuple):
    """What a new child is told: whom its watchdog watches, its limits, and what it is to be.

    `main` and `main_start` are the pid of the main process and its start in clock ticks since boot; `watchdog` is in
    seconds (0: never), `memory` in bytes (0: no limit).
    """

    main: int
    main_start: int
    watchdog: int
    memory: int
    expendable: bool
    target: str
    title: str


def encode(order: str, *values: Any) -> bytes:
    """A request as bytes. File names and variables that are no text survive, as Python spells them (PEP 383)."""
    text = json.dumps([order, *values]).encode("ascii")
    return _LENGTH.pack(len(text)) + text


def receive(sock: socket.socket) -> tuple[list[Any], list[int]] | None:
    """The next request and its descriptors; None at the end of file. Blocks."""
    head, descriptors = take(sock, _LENGTH.size, _MOST_DESCRIPTORS)
    if not head:
        return None
    (size,) = _LENGTH.unpack(head)
    text = bytearray()
    while len(text) < size:
        if not (some := sock.recv(size - len(text))):
            return None
        text += some
    return json.loads(text), descriptors


def take(sock: socket.socket, size: int, most: int) -> tuple[bytes, list[int]]:
    """Up to `size` bytes and `most` descriptors, which are not inheritable: `socket.recv_fds` leaves its flags out."""
    room = socket.CMSG_SPACE(most * array("i").itemsize)
    data, messages, _, _ = sock.recvmsg(size, room, socket.MSG_CMSG_CLOEXEC)
    descriptors = array("i")
    for _, _, found in messages:
        descriptors.frombytes(found[: len(found) - len(found) % descriptors.itemsize])
    return data, descriptors.tolist()
