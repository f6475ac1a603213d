"""One child as its supervisor holds it: from the start of a process to what is told of its end."""

from __future__ import annotations

import signal

from actors.child import EXIT_MEMORY
from actors.events import ChildDown
from actors.health import HealthCheck
from actors.heartbeat import DETAIL, POSITION
from actors.lifecycle import Event, State, transition
from actors.link import Link
from actors.places.local.fork_server import ForkServer
from actors.places.local.oom import OomWatch
from actors.spec import ChildSpec


class Supervised:
    """A child's present incarnation, and what the supervisor remembers of it."""

    def __init__(self, spec: ChildSpec, link: Link, tick_seconds: float) -> None:
        self.spec = spec
        self.link = link
        self.process = link.process
        self.state = State.STARTING
        self.health = HealthCheck(spec, link, tick_seconds)
        self.ordered: str | None = None  # why we killed it

    @property
    def fallen(self) -> ForkServer | None:
        """The fork server that it died with, if it did: their deaths are one."""
        return self.process.fork_server if self.process.orphaned else None

    def touching(self) -> tuple[int, int]:
        """What it is touching now, and where there; -1: nothing, or it is gone."""
        if self.state is not State.RUNNING:
            return -1, 0
        words = self.process.heartbeat_page.words
        return words[POSITION], words[DETAIL]

    def take(self, event: Event) -> None:
        """Go from one state to the next."""
        self.state = transition(self.state, event)

    def end(self, oom: OomWatch) -> ChildDown:
        """Reap the process, let go of all that was held of it, and say how it ended."""
        link, process = self.link, self.process
        code = process.reap()
        words = process.heartbeat_page.words
        position, detail = words[POSITION], words[DETAIL]
        process.close()
        self.take(Event.REAPED)
        fallen = self.fallen
        out_of_memory = self.ordered is None and code == -signal.SIGKILL and oom.killed(fallen)
        return ChildDown(
            name=link.name,
            identity=process.identity,
            incarnation=link.incarnation,
            exit_code=code if code >= 0 else None,
            signal=signal.Signals(-code).name if code < 0 else None,
            reason=self._reason(code, out_of_memory=out_of_memory),
            position=position,
            detail=detail,
            output_tail=link.splitter.tail(),
            fork_server=fallen.pid if fallen else 0,
            out_of_memory=out_of_memory,
            group_limit_bytes=oom.limit_bytes() if out_of_memory else None,
        )

    def _reason(self, code: int, *, out_of_memory: bool) -> str:
        """The word for an end: an order of ours counts only if it was carried out before the child ended by itself."""
        if self.ordered is not None and code == -signal.SIGKILL:
            return self.ordered
        if self.process.orphaned:
            return "fork_server"
        if out_of_memory:
            return "oom"
        if code == EXIT_MEMORY:
            return "memory"
        return "signal" if code < 0 else "exited"
