"""What a supervisor needs of the place where a child runs: this machine (`actors.places.local`), or another one.

A place starts a child and hands back what stands for it here: descriptors to reach it by, what it is doing, how to end
it, and how it ended. Everything that follows from an end (restarts, intensity, what the listener is told) is the
supervisor's, and the same for all places.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import socket

    from actors.identity import Identity
    from actors.lifecycle import State
    from actors.spec import ChildSpec


class Line(Protocol):
    """What is known of the channel to a child."""

    open: bool  # whether anything can still come out of it
    sent: int  # messages that were sent, whether they left already or not


class Health(Protocol):
    """Looks at one incarnation of a child, tick by tick."""

    resident_bytes: int

    def expect_end(self) -> None:
        """It was asked to stop: from now on it has its `shutdown_seconds`."""

    def look(self, state: State) -> str | None:
        """One look; the reason to kill it, in the words of `ChildDown.reason`, or None."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a child ended; as `ChildDown` has it.

    `code` is the exit code, negative for a signal. `reason` is the word for it. Deaths in a row that have a `cause` in
    common are one: that of a fork server, or of a whole place; `fork_server` is the pid of the one it died with.
    `lost` says what became of the place, where that and not the child is what ended; `refused`, that a node will not
    have this child, now or later.
    """

    code: int
    reason: str
    position: int = -1
    detail: int = 0
    cause: Hashable = None
    fork_server: int = 0
    out_of_memory: bool = False
    group_limit_bytes: int | None = None
    lost: str = ""
    refused: bool = False


class PlacedChild(Protocol):
    """One incarnation of a child, from its start to its end.

    `begun` says whether there is, or was, a process: a child that is still on its way cannot be written to, and has an
    identity without a process (pid 0). The place says through `announce` when it began, or never will: then `ended` is
    readable, and nothing comes out of it.
    `sock` is our end of its channel, `output` what it prints, `ended` becomes readable when it is over and everything
    it had sent and printed can be read.
    """

    sock: socket.socket
    output: int
    ended: int

    @property
    def identity(self) -> Identity:
        """Which process."""

    @property
    def begun(self) -> bool:
        """Whether there is, or was, a process."""

    @property
    def where(self) -> str:
        """The node it runs on, for people; empty: this machine."""

    def first_frame(self) -> list[bytes | memoryview]:
        """The buffers of the frame that every child gets first; none where the place has sent it."""

    def beat(self, ticks: int) -> None:
        """Show it that this process gets on."""

    def touching(self) -> tuple[int, int]:
        """What it says it is touching now, and where there; -1: nothing."""

    def health(self, line: Line, tick_seconds: float) -> Health:
        """Who looks at it."""

    def kill(self) -> None:
        """End it at once; nothing if it has ended already. `ended` becomes readable, whatever became of the place."""

    def reap(self, ordered: str | None) -> Ending:
        """Wait for the end and say how it was. `ordered` is why we killed it, if we did."""

    def close(self) -> None:
        """Let go of every descriptor."""


class Place(Protocol):
    """Where children run. Used in the supervisor's thread, but for what says otherwise."""

    def start(self, spec: ChildSpec, announce: Callable[[], None]) -> PlacedChild:
        """Start this child, or have it started; does not wait for another machine.

        `announce` is called once, from any thread, when a child that had not `begun` does, or never will. Raises
        `OSError` if the system refuses.
        """

    def look(self) -> None:
        """A tick."""

    def close(self) -> None:
        """Let go of everything; no child is left."""
