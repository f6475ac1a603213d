"""The thread that moves bytes between the ends that stand for far children here and what is said to their agents."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
from collections import deque
from collections.abc import Callable

logger = logging.getLogger("actors")


class Courier(threading.Thread):
    """One for a place and all its children. Everything that is called, is called in this thread, in order."""

    def __init__(self) -> None:
        super().__init__(name="courier", daemon=True)
        self._todo: deque[Callable[[], None]] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
        self._gate = threading.Lock()  # guards the wake-up descriptor against use after its end
        self._closing = self._released = False

    def call(self, function: Callable[[], None]) -> None:
        """Have this called, soon; from any thread. Nothing after the end."""
        self._todo.append(function)
        with self._gate:
            if not self._released:
                os.eventfd_write(self._wake, 1)

    def watch(self, end: socket.socket | int, events: int, call: Callable[[], None]) -> None:
        """Call this whenever one of the events is possible at this end; 0: not any more. In the thread."""
        known = self._selector.get_map().get(end)
        if known is None:
            if events:
                self._selector.register(end, events, call)
        elif not events:
            self._selector.unregister(end)
        elif known.events != events:
            self._selector.modify(end, events, call)

    def close(self) -> None:
        """End the thread, when all that was called is done."""
        if self.is_alive():
            self.call(self._end)
            self.join()
        else:
            self._release()

    def run(self) -> None:
        """Serve until closed."""
        try:
            while not self._closing:
                for key, _ in self._selector.select():
                    key.data()
        except Exception:  # our own mistake: its children fall silent, and are lost for that
            logger.exception("the courier failed")
        finally:
            self._release()

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        while self._todo:
            self._todo.popleft()()

    def _end(self) -> None:
        self._closing = True

    def _release(self) -> None:
        with self._gate:
            if not self._released:
                self._released = True
                self._selector.close()
                os.close(self._wake)
