"""One child as its supervisor holds it: from the start of a process to what is told of its end."""

from __future__ import annotations

import signal
from collections.abc import Hashable

from actors.events import ChildDown
from actors.lifecycle import Event, State, transition
from actors.link import Link
from actors.spec import ChildSpec


class Supervised:
    """A child's present incarnation, and what the supervisor remembers of it."""

    def __init__(self, spec: ChildSpec, link: Link, tick_seconds: float) -> None:
        self.spec = spec
        self.link = link
        self.process = link.process
        self.state = State.STARTING
        self.health = self.process.health(link, tick_seconds)
        self.ordered: str | None = None  # why we killed it
        self.watched = False  # whether the I/O thread has its descriptors
        self.cause: Hashable = None  # what it died of together with others

    def touching(self) -> tuple[int, int]:
        """What it is touching now, and where there; -1: nothing, or it is gone."""
        return self.process.touching() if self.state is State.RUNNING else (-1, 0)

    def take(self, event: Event) -> None:
        """Go from one state to the next."""
        self.state = transition(self.state, event)

    def end(self) -> ChildDown:
        """Reap the process, let go of all that was held of it, and say how it ended."""
        link, process = self.link, self.process
        ending = process.reap(self.ordered)
        process.close()
        self.take(Event.REAPED)
        self.cause = ending.cause
        return ChildDown(
            name=link.name,
            identity=process.identity,
            incarnation=link.incarnation,
            exit_code=ending.code if ending.code >= 0 else None,
            signal=signal.Signals(-ending.code).name if ending.code < 0 else None,
            reason=ending.reason,
            position=ending.position,
            detail=ending.detail,
            output_tail=link.splitter.tail(),
            fork_server=ending.fork_server,
            out_of_memory=ending.out_of_memory,
            group_limit_bytes=ending.group_limit_bytes,
            where=process.where,
            lost=ending.lost,
            refused=ending.refused,
        )
