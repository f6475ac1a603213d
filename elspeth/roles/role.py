"""What all roles share: messages in, messages out, and errors that a restart would not cure told as values."""

from __future__ import annotations

import gc
import os
from typing import Any

from actors.child import Child
from elspeth.concealment import Concealment
from elspeth.coordinator import protocol
from elspeth.coordinator.protocol import Failed, Message
from elspeth.errors import ElspethError
from elspeth.roles import logs
from elspeth.roles.plan import decode_secrets

COLLECT_AFTER = 50_000
"""So many objects more than before make the cyclic collector look; plugins may leave cycles, so it stays on."""


class Role(Child):
    """A Pykka actor in a child process of a run.

    An `ElspethError` is told to the main process, which decides; the process then waits to be stopped. Any other
    exception ends the process: a restart is the cure, and the traceback the evidence.
    """

    niceness = 5
    """Everybody waits for the audit process in the end, so where processors are few it goes first."""

    def on_start(self) -> None:
        self.failed = False
        os.nice(self.niceness)
        logs.configure(self.argument)
        self.concealment = Concealment(decode_secrets(self.argument))
        # Rows and records come and go by the ten thousand and hold no cycles: at the default of 700 new objects the
        # collector would look at all of them, again and again.
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        try:
            self.begin()
        except ElspethError as error:
            self.fail(error)

    def on_frame(self, parts: list[memoryview]) -> None:
        if self.failed:
            return
        try:
            self.take(protocol.decode(parts[0]), parts[1:])
        except ElspethError as error:
            self.fail(error)

    def begin(self) -> None:
        """Get ready; called once, before the first message."""

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        """Act on one message of the main process."""
        raise NotImplementedError

    def send(self, message: Message, *bodies: bytes) -> None:
        """Send a message to the main process."""
        self.port.send(protocol.encode(message), *bodies)

    def fail(self, error: ElspethError) -> None:
        """Tell the main process that this role cannot go on."""
        self.failed = True
        self.send(Failed(self.concealment.error(error).to_value()))
