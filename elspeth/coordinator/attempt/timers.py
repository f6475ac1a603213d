"""What is due when: heartbeats, commits that have waited long enough, time-outs of stages. Pure: time comes in."""

from __future__ import annotations

HEARTBEAT_TICKS = 50
SETTLING_TICKS = 10
SECOND_TICKS = 10


class Timers:
    """The clocks of one attempt. `now` are seconds of a clock that does not go back; `max_seconds` is how long a
    result may wait for a commit."""

    def __init__(self, max_seconds: float, now: float) -> None:
        self._max_seconds = max_seconds
        self._ticks = 0
        self._last_commit = self._begun = now
        self._active_before = 0.0
        self._due: dict[int, float] = {}

    def owned(self, active_before: float, now: float) -> None:
        """The attempt drives the run, which has been driven for `active_before` seconds by those before it."""
        self._active_before, self._begun = active_before, now

    def active_seconds(self, now: float) -> float:
        """How long the run has been driven."""
        return round(self._active_before + now - self._begun, 3)

    def tick(self) -> int | None:
        """One more tick; answers the number of the heartbeat that is due with it."""
        self._ticks += 1
        return self._ticks // HEARTBEAT_TICKS if self._ticks % HEARTBEAT_TICKS == 0 else None

    @property
    def second_due(self) -> bool:
        """Whether what is shown to people is to be looked at anew."""
        return self._ticks % SECOND_TICKS == 0

    @property
    def settling_due(self) -> bool:
        """Whether those who make calls are to be told what is committed."""
        return self._ticks % SETTLING_TICKS == 0

    def committed(self, now: float) -> None:
        """A commit has happened."""
        self._last_commit = now

    def stage_due(self, stage: int, due: float | None) -> None:
        """When the next time-out of an ordered stage is, as active time in seconds; None if nothing waits in it."""
        self._due.pop(stage, None)
        if due is not None:
            self._due[stage] = due

    @property
    def holding(self) -> bool:
        """Whether something waits for a time-out."""
        return bool(self._due)

    def commit_overdue(self, now: float) -> bool:
        """Whether what may have been released since the last commit has waited long enough."""
        return now - self._last_commit > self._max_seconds

    def timeout_due(self, now: float) -> bool:
        """Whether a time-out is due; it is told once, until a stage names its next one."""
        active = self.active_seconds(now)
        if not any(active >= due for due in self._due.values()):
            return False
        self._due.clear()
        return True
