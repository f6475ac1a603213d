"""A thread that waits on descriptors, and on what other threads want done in it."""

from __future__ import annotations

import os
import selectors
import threading
from collections import deque
from collections.abc import Callable


class EventLoop(threading.Thread):
    """Calls what `selector` has with each descriptor when something happens there, and everything in its order.

    A subclass registers with `selector`, in the thread, and may have its own `serve`.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name=name, daemon=True)
        self.selector = selectors.DefaultSelector()
        self.closing = False
        self._todo: deque[Callable[[], None]] = deque()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.selector.register(self._wake, selectors.EVENT_READ, self._woken)
        self._gate = threading.Lock()  # guards the wake-up descriptor against use after its end
        self._released = False

    def call(self, function: Callable[[], None]) -> None:
        """Have this called in the thread, soon; from any thread. Nothing after the end.

        Only the first of several wakes it: all that is there is called then, and what is added meanwhile.
        """
        with self._gate:
            self._todo.append(function)
            if len(self._todo) == 1 and not self._released:
                os.eventfd_write(self._wake, 1)

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
            self.serve()
        except Exception as error:  # noqa: BLE001 - a callback's, or our own mistake
            self.failed(error)
        finally:
            self._release()

    def serve(self) -> None:
        """Turn until closed."""
        while not self.closing:
            self.turn(None)

    def turn(self, seconds: float | None) -> None:
        """Wait for so long at most (None: until something happens), and call what is due."""
        for key, _ in self.selector.select(seconds):
            key.data()

    def failed(self, error: Exception) -> None:
        """It serves nobody any more, because of this, which is being handled."""

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        while self._todo:  # each is taken out before it is called: what it adds would wake nobody while it is in there
            self._todo.popleft()()

    def _end(self) -> None:
        self.closing = True

    def _release(self) -> None:
        with self._gate:
            if not self._released:
                self._released = True
                self.selector.close()
                os.close(self._wake)
