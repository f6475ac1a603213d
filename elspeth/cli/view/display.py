"""What shows the progress of a run to somebody: called often, prints when something is due."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from elspeth.cli.view.logs import Log
from elspeth.cli.view.rate import RateMeter
from elspeth.coordinator.progress import Progress


class Display:
    """Called with the progress some twenty times a second, in the main thread; prints what is due."""

    def __init__(self, log: Log, show: Callable[[Progress, RateMeter], None], every: float) -> None:
        self._log = log
        self._show = show
        self._every = every
        self._next = time.monotonic() + every
        self._pace = RateMeter()

    def __call__(self, progress: Progress) -> None:
        self._log.flush()
        while progress.lines:
            self._log.notify(progress.lines.popleft(), "warning")
        now = time.monotonic()
        if not progress.started:
            return
        self._pace.see(now, progress.rows_done, progress.offset)
        if now >= self._next:
            self._next = now + self._every
            self._show(progress, self._pace)


def counts(numbers: Mapping[str, int]) -> str:
    """Names with their numbers: `normal 4, high_values 3`."""
    return ", ".join(f"{name} {number:,}" for name, number in numbers.items())
