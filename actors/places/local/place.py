"""This machine as a place: children are processes of its own, forked from a fork server."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable

from actors.channel import START, encode
from actors.child import EXIT_MEMORY
from actors.heartbeat import DETAIL, PARENT_BEAT, POSITION
from actors.identity import Identity
from actors.places.local.fork_server import ForkServer, ForkServerGone
from actors.places.local.health import HealthCheck
from actors.places.local.oom import OomWatch
from actors.places.local.process import Process
from actors.places.place import Ending, Line
from actors.spec import HERE, ChildSpec

FORK_SERVERS = 5
"""So many in a row may die before they have forked a child: then it is not chance that they do."""


class LocalPlace:
    """Forks children from `fork_server`, which stays its owner's to close; without one, and after its death, from its
    own, made in the thread that starts a child. Children work in `folder`. `watchdog_seconds`: see `Supervisor`.
    """

    def __init__(
        self, fork_server: ForkServer | None = None, watchdog_seconds: float | None = None, folder: str = "."
    ) -> None:
        self._folder = folder
        self._fork_server = fork_server
        self._own: ForkServer | None = None
        self._watchdog_seconds = watchdog_seconds
        self._oom = OomWatch()

    def start(self, spec: ChildSpec, announce: Callable[[], None]) -> LocalChild:
        """Start it; it has begun when this returns. Raises `OSError` if the system has no room for it."""
        return LocalChild(spec, self._process(spec), self._oom)

    def look(self) -> None:
        """A tick."""
        self._oom.look()

    def close(self) -> None:
        """End the fork server that it made itself."""
        if self._own is not None:
            self._own.close()

    def _process(self, spec: ChildSpec) -> Process:
        for _ in range(FORK_SERVERS - 1):
            with contextlib.suppress(ForkServerGone):  # just now; nothing was said to the child, if there was one
                return Process(spec, self._living_fork_server(), self._watchdog_seconds, self._folder)
        return Process(spec, self._living_fork_server(), self._watchdog_seconds, self._folder)

    def _living_fork_server(self) -> ForkServer:
        if self._fork_server is None:
            self._fork_server = self._own = ForkServer()
        elif self._fork_server.gone:
            self._fork_server = self._own = self._fork_server.successor()
        return self._fork_server


class LocalChild:
    """A process of this machine, as the supervisor holds it (`actors.places.place.PlacedChild`)."""

    begun = True
    where = HERE

    def __init__(self, spec: ChildSpec, process: Process, oom: OomWatch) -> None:
        self._spec, self._process, self._oom = spec, process, oom
        self.sock, self.output, self.ended = process.sock, process.output, process.ended
        self._words = process.heartbeat_page.words

    @property
    def identity(self) -> Identity:
        """Which process."""
        return self._process.identity

    def first_frame(self) -> list[bytes | memoryview]:
        """Its argument."""
        return encode(START, (self._spec.argument,))

    def beat(self, ticks: int) -> None:
        """Show its watchdog that this process gets on."""
        self._words[PARENT_BEAT] = ticks

    def touching(self) -> tuple[int, int]:
        """What it says, in the page that it shares."""
        return self._words[POSITION], self._words[DETAIL]

    def health(self, line: Line, tick_seconds: float) -> HealthCheck:
        """Who looks at it."""
        return HealthCheck(self._spec, self._process, line, tick_seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()

    def reap(self, ordered: str | None) -> Ending:
        """Wait for the end and say how it was: an order of ours counts only if it was carried out before that."""
        process = self._process
        code = process.reap()
        fallen = process.fork_server if process.orphaned else None
        out_of_memory = ordered is None and code == -signal.SIGKILL and self._oom.killed(fallen)
        if ordered is not None and code == -signal.SIGKILL:
            reason = ordered
        elif process.orphaned:
            reason = "fork_server"
        elif out_of_memory:
            reason = "oom"
        elif code == EXIT_MEMORY:
            reason = "memory"
        else:
            reason = "signal" if code < 0 else "exited"
        return Ending(
            code, reason, *self.touching(), cause=fallen, fork_server=fallen.pid if fallen else 0,
            out_of_memory=out_of_memory, group_limit_bytes=self._oom.limit_bytes() if out_of_memory else None,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of every descriptor and of the page."""
        self._process.close()
