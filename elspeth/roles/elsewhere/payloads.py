"""The payload store of a worker on another machine: contents go to the main process, in front of what mentions them."""

from __future__ import annotations

import hashlib
from threading import Lock

from actors.child import Port
from elspeth.coordinator.elsewhere import keeping as k

SEND_BYTES = 1 << 20
"""From so many bytes on contents are sent, whether or not the work that they are of is done."""

SEND_CONTENTS = 1000
"""Or from so many contents on."""

REMEMBERED = 10_000
"""So many contents that went before are known by their references, and not sent again."""


class PayloadsKept:
    """See `elspeth.payloads.Payloads`. Used by several threads."""

    def __init__(self, port: Port, inline_limit: int) -> None:
        self.inline_limit = inline_limit
        self._port = port
        self._lock = Lock()
        self._waiting: list[bytes] = []
        self._bytes = 0
        self._known: dict[str, None] = {}

    def put(self, content: bytes) -> str:
        """Keep this content; returns its reference."""
        reference = hashlib.sha256(content).hexdigest()
        with self._lock:
            if reference in self._known:
                return reference
            self._known[reference] = None
            if len(self._known) > REMEMBERED:
                del self._known[next(iter(self._known))]
            self._waiting.append(content)
            self._bytes += len(content)
            if self._bytes >= SEND_BYTES or len(self._waiting) >= SEND_CONTENTS:
                self._send()
        return reference

    def write_out(self) -> None:
        """Send what was put: the main process has it on disk before it acts on what this process says next."""
        with self._lock:
            if self._waiting:
                self._send()

    def _send(self) -> None:
        self._port.send(k.encode(k.KeepPayloads()), *self._waiting)
        self._waiting, self._bytes = [], 0
