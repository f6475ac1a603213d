"""Ends what takes too long: a socket whose deadline has passed is shut down, and whoever waits on it wakes up.

A read time-out of a client begins anew with each byte, so that a body of a byte a second has none. One thread per
process watches all sockets.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import socket
import threading
import time
from collections.abc import Iterator


class Watch:
    """One socket and its deadline; `passed` says whether it was shut down."""

    __slots__ = ("deadline", "over", "passed", "sock")

    def __init__(self, sock: socket.socket, deadline: float) -> None:
        self.sock = sock
        self.deadline = deadline
        self.over = self.passed = False


class Deadlines:
    """Watches sockets. Seconds are those of `time.monotonic`."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._numbers = itertools.count()
        self._heap: list[tuple[float, int, Watch]] = []
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def watched(self, sock: socket.socket, deadline: float) -> Iterator[Watch]:
        """Have the socket shut down at the deadline, unless the block has been left before."""
        watch = self.begin(sock, deadline)
        try:
            yield watch
        finally:
            self.end(watch)

    def begin(self, sock: socket.socket, deadline: float) -> Watch:
        """The same without a block: `end` must follow."""
        watch = Watch(sock, deadline)
        with self._condition:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="deadlines", daemon=True)
                self._thread.start()
            heapq.heappush(self._heap, (deadline, next(self._numbers), watch))
            if self._heap[0][2] is watch:
                self._condition.notify()
        return watch

    def end(self, watch: Watch) -> None:
        """Watch no longer. What is over is taken from the heap when its time comes."""
        with self._condition:
            watch.over = True

    def _run(self) -> None:
        with self._condition:
            while True:
                if not self._heap:
                    self._condition.wait()
                    continue
                left = self._heap[0][0] - time.monotonic()
                if left > 0 and not self._heap[0][2].over:
                    self._condition.wait(left)
                    continue
                watch = heapq.heappop(self._heap)[2]
                if not watch.over:
                    watch.passed = True
                    _shut_down(watch.sock)


def _shut_down(sock: socket.socket) -> None:
    # Past the TLS layer, which another thread is using: only the system is told.
    with contextlib.suppress(OSError, ValueError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
