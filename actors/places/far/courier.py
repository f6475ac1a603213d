"""The thread that moves bytes between the ends that stand for far children here and what is said to their agents."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

from actors.event_loop import EventLoop

_READ_BYTES = 1 << 18

logger = logging.getLogger("actors")


class Courier(EventLoop):
    """One for a place and all its children."""

    def __init__(self) -> None:
        super().__init__("courier")
        self.room = memoryview(bytearray(_READ_BYTES))
        """Where is read into, and copied from at once: to ask the system for so much memory each time takes longer."""

    def watch(self, end: socket.socket | int, events: int, call: Callable[[], None]) -> None:
        """Call this whenever one of the events is possible at this end; 0: not any more. In the thread."""
        known = self.selector.get_map().get(end)
        if known is None:
            if events:
                self.selector.register(end, events, call)
        elif not events:
            self.selector.unregister(end)
        elif known.events != events:
            self.selector.modify(end, events, call)

    def failed(self, error: Exception) -> None:
        """Its children fall silent, and are lost for that."""
        logger.exception("the courier failed", exc_info=error)
