"""What Ray runs on a node: an actor that an agent lives in, and that pieces are handed to and taken from."""

from __future__ import annotations

import contextlib
import importlib
import os
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator

REPLY_BYTES = 95_000
"""What is taken in one call goes along with the answer, and not by way of Ray's store, up to 100 kB."""

_LENGTH = struct.Struct("<I")

LAST_WORDS_SECONDS, ALONE_SECONDS = 5.0, 0.5
"""So long is waited at the end for somebody to take what was said last; and where nobody may be there."""


class OnNode:
    """Calls of `take` wait until there is something; so one of them is under way at any time, and a thread for it.

    What it answers is bytes, which Ray hands on as they are: anything else it pickles, there and here. When the agent
    is at its end this process is, too.
    """

    def __init__(self, agent: str) -> None:
        """`agent` is the name of the agent's class, "module:class"."""
        with contextlib.suppress(OSError):  # Ray has its workers give way to all others; only root may undo that
            os.setpriority(os.PRIO_PROCESS, 0, 0)
        module, _, name = agent.partition(":")
        self._outgoing: deque[bytes] = deque()
        self._some = threading.Condition()
        self._agent = getattr(importlib.import_module(module), name)(self._put)
        threading.Thread(target=self._run, daemon=True).start()
        threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()

    def where(self) -> tuple[str, str, str]:
        """The id of the node, the name of the machine, and its address."""
        import ray

        address = ray.util.get_node_ip_address()
        return ray.get_runtime_context().get_node_id(), socket.gethostname(), address

    def hear(self, *pieces: bytes) -> None:
        """These pieces came."""
        for piece in pieces:
            self._agent.hear(piece)

    def take(self, *pieces: bytes) -> bytes:
        """These came; answers those to go, as many as fit (`parted`). Waits for the first."""
        self.hear(*pieces)
        with self._some:
            self._some.wait_for(lambda: self._outgoing)
            taken = [self._outgoing.popleft()]
            room = REPLY_BYTES - len(taken[0])
            while self._outgoing and len(self._outgoing[0]) <= room:
                taken.append(self._outgoing.popleft())
                room -= len(taken[-1])
            self._some.notify_all()
            return joined(taken)

    def _put(self, piece: bytes) -> None:
        with self._some:
            self._outgoing.append(piece)
            self._some.notify()

    def _run(self) -> None:
        try:
            self._agent.run()
        finally:
            with self._some:
                patience = ALONE_SECONDS if self._agent.alone else LAST_WORDS_SECONDS
                self._some.wait_for(lambda: not self._outgoing, patience)
            time.sleep(1.0)  # for the last answer to leave; if all is well we are killed before
            os._exit(0)


def joined(pieces: list[bytes]) -> bytes:
    """Several as one."""
    return b"".join(part for piece in pieces for part in (_LENGTH.pack(len(piece)), piece))


def parted(data: bytes) -> Iterator[bytes]:
    """What was joined."""
    start = 0
    while start < len(data):
        (length,) = _LENGTH.unpack_from(data, start)
        start += _LENGTH.size
        yield data[start : start + length]
        start += length


def end_with(parent: int) -> None:
    """End this process when its parent is gone: Ray would wait for calls that are under way, and these wait for Ray."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)
