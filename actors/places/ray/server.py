"""The server that knows a cluster: whether it answers."""

from __future__ import annotations

import socket
import threading
import time

ANSWER_SECONDS = 10.0
AGAIN_SECONDS = 1.0
"""So often is looked whether it is back."""


class Server:
    """Asked before Ray is told to ask it.

    Ray waits for it, for minutes, and cannot be told to stop: a process that ends meanwhile ends by a segmentation
    fault.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self._leaving = threading.Event()
        self._silent_until = 0.0

    def leave(self) -> None:
        """Nothing is waited for any more; from any thread."""
        self._leaving.set()

    def answers(self) -> bool:
        """Whether it does; it is not asked again at once where it does not."""
        if time.monotonic() < self._silent_until:
            return False
        try:
            require_answer(self.address, AGAIN_SECONDS if self._leaving.is_set() else ANSWER_SECONDS)
        except ConnectionError:
            self._silent_until = time.monotonic() + AGAIN_SECONDS / 2
            return False
        return True

    def wait(self) -> None:
        """Wait until it answers. Raises `ConnectionError` where that is not waited for any more."""
        while not self.answers():
            if self._leaving.wait(AGAIN_SECONDS):
                raise ConnectionError(f"nothing answers at {self.address}")


def require_answer(address: str, seconds: float = ANSWER_SECONDS) -> None:
    """Raises `ConnectionError` where nothing does at the host and port of an address, if it has these."""
    host, _, port = address.rpartition("://")[2].partition("/")[0].rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), seconds).close()
    except OSError as error:
        raise ConnectionError(f"nothing answers at {host}:{port} ({error.strerror or error})") from error
