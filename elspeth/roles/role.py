"""What all roles share: messages in, messages out, and errors that a restart would not cure told as values."""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable
from typing import Any

from actors.channel import FrameRefused
from actors.child import Child
from actors.places.local.malloc import give_back
from elspeth.calls.errors import RunStops
from elspeth.concealment import Concealment
from elspeth.coordinator import protocol
from elspeth.coordinator.protocol import Failed, Message
from elspeth.errors import ElspethError, Temporary
from elspeth.roles import logs
from elspeth.roles.plan import decode_secrets

COLLECT_AFTER = 50_000
"""So many objects more than before make the cyclic collector look; plugins may leave cycles, so it stays on."""


class Role(Child):
    """A Pykka actor in a child process of a run.

    An `ElspethError` is told to the main process, which decides; the process then waits to be stopped. Any other
    exception ends the process: a restart is the cure, and the traceback the evidence. Where rows are decided that
    would be a death, and the row in hand its suspect; so `decides` says that what is raised there is no plugin's, whose
    exceptions are caught, but ours, and ends the run in order.
    """

    decides = False

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
        except RunStops as stops:
            self.fail(stops.error)

    def on_frame(self, parts: list[memoryview]) -> None:
        self.guarded(lambda: self.take(protocol.decode(parts[0]), parts[1:]))

    def guarded(self, act: Callable[[], None]) -> None:
        """Act; what is raised is told to the main process, or ends this one, as the class says."""
        if self.failed:
            return
        try:
            act()
        except ElspethError as error:
            self.fail(error)
        except RunStops as stops:
            self.fail(stops.error)
        except MemoryError:
            raise
        except Exception as error:
            if not self.decides:
                raise
            self.fail(ours(error))

    def begin(self) -> None:
        """Get ready; called once, before the first message."""

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        """Act on one message of the main process."""
        raise NotImplementedError

    def send(self, message: Message, *bodies: bytes) -> None:
        """Send a message to the main process."""
        self.port.send(protocol.encode(message), *bodies)

    def slim(self) -> None:
        """Give back what a large batch took: it is seldom followed by another, and what is freed is kept otherwise."""
        gc.collect()  # with it the interpreter lets go of its free lists, each entry of which holds an arena
        give_back()

    def fail(self, error: ElspethError) -> None:
        """Tell the main process that this role cannot go on."""
        self.failed = True
        self.send(Failed(self.concealment.error(error).to_value()))


def ours(error: Exception) -> ElspethError:
    """What an exception out of our own code means: no row is to blame, and the rows in hand are still to be decided."""
    if isinstance(error, OSError) and error.errno is not None:
        return Temporary(f"{error.strerror}: {error.filename or 'a file of the run'}", next_step="mend it and resume")
    what = str(error) or "no message"
    if isinstance(error, FrameRefused | RecursionError):
        return ElspethError(
            f"a limit of Elspeth was reached, which is no row's fault: {what}",
            next_step="ops/docs/reference/limits.md says what the limits are; the run can be resumed",
        )
    where = traceback.extract_tb(error.__traceback__)
    place = f"{where[-1].filename.rpartition('/')[2]}, line {where[-1].lineno}" if where else "an unknown place"
    return ElspethError(
        f"internal error, which is no row's fault: {type(error).__name__}: {what}",
        details=[f"raised in {place}"],
        next_step="report this, with the lines above; the run can be resumed",
    )
