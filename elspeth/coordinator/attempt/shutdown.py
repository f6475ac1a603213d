"""How an attempt ends, as a pure state machine: running, draining, closing, closed; no clock, no I/O.

    running --(a signal)-------------> draining   read no more, finish what is in hand
    running, draining --(no more)----> closing    the last word is with audit, which is the only one that may write it
    any --(it is written, or nobody is left to write it)--> closed

A phase is never left backwards, each has a deadline but the first, and whoever asks for an end twice gets it sooner.
"""

from __future__ import annotations

from enum import IntEnum

from elspeth.coordinator.protocol import EndAttempt
from elspeth.errors import ElspethError, Interrupted, PersonNeeded, TakenOver, Temporary

DRAIN_SHARE, CLOSE_SHARE = 0.45, 0.2
"""Of the time that stopping may take: what rows in hand get before they are left to the resume, and what audit gets to
write the last word. The rest is for the children to end."""


class Phase(IntEnum):
    """Where an attempt is on its way to its end."""

    RUNNING = 0
    DRAINING = 1
    CLOSING = 2
    CLOSED = 3


class Shutdown:
    """What becomes of an attempt; `stop_seconds` is the time that stopping may take, children included.

    Every method takes an event and answers the phase that is entered by it, None if none is. `now` are seconds of any
    clock that does not go back. `error` is why the attempt ends, None if its run is complete or goes on; `last_word` is
    what audit is to write about it, from `CLOSING` on.
    """

    def __init__(self, stop_seconds: float) -> None:
        self.phase = Phase.RUNNING
        self.error: ElspethError | None = None
        self.last_word: EndAttempt | None = None
        self._stop_seconds = stop_seconds
        self._signal: Interrupted | None = None
        self._deadline = 0.0
        self._owned = False

    @property
    def ending(self) -> bool:
        """Whether nothing may be given out any more, or taken back."""
        return self.phase >= Phase.CLOSING

    def owned(self, now: float) -> Phase | None:
        """The attempt owns the run: from now on there is an end to put on record."""
        self._owned = True
        return self._give_up(self._signal, now) if self._signal is not None else None

    def signalled(self, reason: Interrupted, now: float) -> Phase | None:
        """Somebody asked for the end. The first time rows in hand are finished, the second time they are given up."""
        if self.phase == Phase.DRAINING:
            return self._give_up(reason, now)
        if self.phase == Phase.RUNNING:
            self._signal = reason
            return self._enter(Phase.DRAINING, now + DRAIN_SHARE * self._stop_seconds)
        return None

    def finished(self, now: float, *, complete: bool) -> Phase | None:
        """Nothing is left to do: the run is complete and on record as such, or it has given way after a signal."""
        if self.ending:
            return None
        if complete:
            return self._enter(Phase.CLOSED)
        return self._give_up(self._signal, now) if self._signal is not None else None

    def failed(
        self, error: ElspethError, now: float, *, audit_failed: bool = False, refused: bool = False
    ) -> Phase | None:
        """Something that no restart cures. Where audit itself has failed, nobody can put it on record.

        A run that was `refused` its outputs before it had one has nothing to resume, and is closed.
        After `TakenOver` there is nothing more to say: it overrides whatever the attempt was about to end for.
        """
        if self.phase == Phase.CLOSED or (self.ending and not isinstance(error, TakenOver)):
            return None
        if isinstance(error, TakenOver) or audit_failed:
            self.error = error
            return self._enter(Phase.CLOSED)
        status = EndAttempt("failed", error.message, failure=error.message, closed=refused)
        if isinstance(error, Temporary | PersonNeeded):
            status = EndAttempt("interrupted", error.message, failure=error.message)
        return self._close(error, status, now)

    def audit_began_again(self, now: float) -> None:
        """Audit, which had been given up, was started once more, for the last word only."""
        if self.phase == Phase.CLOSING:
            self._deadline = now + self._stop_seconds

    def audit_gone(self) -> Phase | None:
        """The audit process has ended: while closing, what it has not written stays unwritten."""
        return self._enter(Phase.CLOSED) if self.phase == Phase.CLOSING else None

    def last_word_written(self) -> Phase | None:
        """Audit has put the end on record."""
        return self._enter(Phase.CLOSED) if self.phase == Phase.CLOSING else None

    def tick(self, now: float) -> Phase | None:
        """Time has passed: no phase but the first may last for ever."""
        if self._signal is not None and self.phase == Phase.DRAINING and now > self._deadline:
            return self._give_up(self._signal, now)
        if self.phase == Phase.CLOSING and now > self._deadline:
            return self._enter(Phase.CLOSED)
        return None

    def broken(self, error: ElspethError) -> Phase | None:
        """A mistake of ours: nothing that was decided here can be relied on any more."""
        self.error = error
        return self._enter(Phase.CLOSED) if self.phase != Phase.CLOSED else None

    def _give_up(self, reason: Interrupted, now: float) -> Phase:
        """Give way now: what is committed is committed."""
        return self._close(reason, EndAttempt("interrupted", reason.message), now)

    def _close(self, error: ElspethError, last_word: EndAttempt, now: float) -> Phase:
        self.error = error
        if not self._owned:
            return self._enter(Phase.CLOSED)
        self.last_word = last_word
        return self._enter(Phase.CLOSING, now + CLOSE_SHARE * self._stop_seconds)

    def _enter(self, phase: Phase, deadline: float = 0.0) -> Phase:
        self.phase, self._deadline = phase, deadline
        return phase


def stopping(seconds: float) -> str:
    """The answer to the first request to stop."""
    return f"Stopping: finishing what is in flight, at most {seconds:g} s; again to stop at once"
