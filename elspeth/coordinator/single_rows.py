"""How long it will take that rows go one at a time, each recorded before it is touched: told once, from the first ones.

Pure: time comes in. Every such row waits for a commit of its own: its pace is the disk's, and cannot be guessed before.
"""

from __future__ import annotations

ENOUGH_ROWS, ENOUGH_SECONDS = 100, 5.0
"""After so many rows, or with any row after so many seconds, the pace is known well enough for an estimate."""


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
