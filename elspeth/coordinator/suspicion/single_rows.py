"""What is said of rows that go one at a time: for how many, and how long that takes, told once, from the first ones.

Pure: time comes in. The pace cannot be guessed before: of rows that are recorded first it is the disk's.
"""

from __future__ import annotations

from elspeth.coordinator.suspicion.caution import Caution

ENOUGH_ROWS, ENOUGH_SECONDS = 100, 5.0
"""After so many rows, or with any row after so many seconds, the pace is known well enough for an estimate."""


def announcement(caution: Caution) -> str:
    """What begins, in one sentence."""
    recorded = ", each on record before it is touched" if caution.recorded else ""
    return (
        "two attempts died at the same place: to find the row to blame, "
        f"the next {caution.rows:,} rows go one at a time{recorded}; then it is as fast as before"
    )


class SingleRows:
    """The first `rows` rows of an attempt, which go one at a time; none where no caution is needed."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._begun: float | None = None

    def look(self, done: int, now: float) -> str | None:
        """A sentence with the estimate, once. `done` are the attempt's rows so far, `now` seconds of any one clock."""
        if not self._rows or done >= self._rows:
            return None
        if self._begun is None:
            self._begun = now
        seconds = now - self._begun
        if done == 0 or seconds <= 0 or (done < ENOUGH_ROWS and seconds < ENOUGH_SECONDS):
            return None
        rows, self._rows = self._rows, 0
        left = (rows - done) * seconds / done
        return f"one at a time, {done / seconds:,.0f} rows a second: the {rows - done:,} left take about {left:,.0f} s"
