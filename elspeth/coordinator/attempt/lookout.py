"""Where nothing gets done, says what is waited for: to whoever watches, and on record for whoever looks later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from elspeth.canonical import JsonObject
from elspeth.coordinator.attempt.children import Children
from elspeth.coordinator.attempt.topology import Topology
from elspeth.coordinator.elsewhere.far_workers import Absent
from elspeth.coordinator.machine.machine import Machine
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.reporting.standstill import Held, Standstill, in_hand, sentence, waited_for

Note = Callable[[JsonObject, int], None]
"""Puts a standstill on record, with a token by which it is answered."""


class Lookout:
    """Looks at an attempt, tick by tick; `now` are seconds of a clock that does not go back."""

    def __init__(self, topology: Topology, progress: Progress, children: Children, note: Note, now: float) -> None:
        self._topology, self._progress, self._children, self._note = topology, progress, children, note
        self._standstill = Standstill(now)
        self._notes = 0  # of standstills, by negative tokens: the machine's are positive

    def look(self, machine: Machine, held: Callable[[], Sequence[Held | Absent]], now: float, *, due: bool) -> None:
        """Say what is waited for, if nothing gets done and it is `due`; `held` is what else than rows in hand."""
        seconds = self._standstill.seconds(machine.durable.row_count, now)
        if seconds is None:
            self._progress.waiting = ""
            return
        if not due:
            return
        hands = in_hand(self._children.touching(), machine.dispatcher.at_work(), self._topology.steps)
        reading = not machine.dispatcher.pending and not machine.released()
        others = held()
        what = waited_for(hands, others, self._topology.limits.hang_seconds, reading=reading)
        self._progress.waiting = sentence(seconds, what)
        lasting = waited_for(hands, [replace(each, seconds=0.0) for each in others], None, reading=reading)
        if self._standstill.news(lasting, now):
            self._notes += 1
            self._note({"seconds": round(seconds), "waiting_for": what}, -self._notes)
