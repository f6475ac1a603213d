"""How fast a run goes and when it will be done, from what was seen of it. Pure: the time is handed in."""

from __future__ import annotations

from collections import deque

WINDOW_SECONDS = 10.0
SAMPLE_SECONDS = 0.5


class RateMeter:
    """A sliding window over counts of rows and bytes of input."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int, int | None]] = deque()

    def see(self, now: float, rows: int, offset: int | None) -> None:
        """At `now` (seconds, any clock that only goes forward) so many rows are done and bytes read."""
        samples = self._samples
        if len(samples) > 1 and now - samples[-2][0] < SAMPLE_SECONDS:
            samples.pop()
        samples.append((now, rows, offset))
        while len(samples) > 2 and now - samples[1][0] > WINDOW_SECONDS:
            samples.popleft()

    @property
    def rows_per_second(self) -> float | None:
        """Over the window; None as long as nobody can tell."""
        if len(self._samples) < 2:
            return None
        (first, rows_then, _), (last, rows_now, _) = self._samples[0], self._samples[-1]
        return (rows_now - rows_then) / (last - first) if last > first else None

    def seconds_left(self, size: int | None) -> float | None:
        """Until `size` bytes of input are read at the present pace; None where nobody can tell."""
        known = [(at, offset) for at, _, offset in self._samples if offset is not None]
        if size is None or len(known) < 2:
            return None
        (first, before), (last, offset) = known[0], known[-1]
        if offset <= before or last <= first:
            return None
        return max(size - offset, 0) * (last - first) / (offset - before)


def percent(offset: int | None, size: int | None) -> int | None:
    """Whole percents of the input that are read; None where nobody can tell."""
    return min(offset * 100 // size, 100) if offset is not None and size else None
