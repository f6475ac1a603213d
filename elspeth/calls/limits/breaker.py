"""Stops asking a service that is in trouble, and finds out by one probe at a time when it is well again.

Algorithm: circuit breaker (M. Nygard, Release It!), with a window of time for the share of failures.
"""

from __future__ import annotations

import msgspec

IN_A_ROW = 20
"""So many failures in a row open the breaker."""

WINDOW_SECONDS = 30.0
FEWEST = 10
"""Of fewer calls in the window no share is taken: one failure of one is more than half."""

FIRST_PROBE_SECONDS = 5.0
LAST_PROBE_SECONDS = 60.0

_CELL = 1.0


class Breaker(msgspec.Struct, frozen=True):
    """What came of the calls of late; `open`: nothing but a probe is sent."""

    in_a_row: int = 0
    recent: tuple[tuple[int, int, int], ...] = ()  # number of the second, calls, failures
    open: bool = False
    probe_at: float = 0.0
    probe_seconds: float = FIRST_PROBE_SECONDS
    probing: bool = False

    def wait(self, now: float) -> float:
        """Seconds until something may be sent; 0: at once (with an open breaker: as its probe)."""
        if not self.open:
            return 0.0
        if self.probing:
            return FIRST_PROBE_SECONDS  # its end says more; until then somebody may look again
        return max(self.probe_at - now, 0.0)

    def sent(self) -> Breaker:
        """After `wait` said 0 and a call went out: of an open breaker, that was the probe."""
        return msgspec.structs.replace(self, probing=True) if self.open else self

    def succeeded(self, now: float) -> Breaker:
        """After an answer of any kind that shows the service at work: what was open is closed, and forgets."""
        if self.open:
            return Breaker()
        return msgspec.structs.replace(self, in_a_row=0, recent=self._counted(now, 0))

    def failed(self, now: float) -> Breaker:
        """After a failure of the service; calls that were out already when it opened change nothing more."""
        if self.open:
            if not self.probing:
                return self
            pause = min(self.probe_seconds * 2, LAST_PROBE_SECONDS)
            return msgspec.structs.replace(self, probing=False, probe_at=now + pause, probe_seconds=pause)
        recent, in_a_row = self._counted(now, 1), self.in_a_row + 1
        calls, failures = (sum(cell[place] for cell in recent) for place in (1, 2))
        if in_a_row < IN_A_ROW and not (calls >= FEWEST and 2 * failures > calls):
            return msgspec.structs.replace(self, in_a_row=in_a_row, recent=recent)
        return Breaker(in_a_row=in_a_row, open=True, probe_at=now + FIRST_PROBE_SECONDS)

    def abandoned(self, now: float) -> Breaker:
        """After the probe ended and says nothing of the service (its process died): another may be sent soon."""
        if not self.probing:
            return self
        return msgspec.structs.replace(self, probing=False, probe_at=now + FIRST_PROBE_SECONDS)

    def _counted(self, now: float, failures: int) -> tuple[tuple[int, int, int], ...]:
        second = int(now // _CELL)
        kept = [cell for cell in self.recent if cell[0] > second - WINDOW_SECONDS / _CELL]
        if kept and kept[-1][0] == second:
            _, calls, failed = kept.pop()
            return (*kept, (second, calls + 1, failed + failures))
        return (*kept, (second, 1, failures))
