"""What shows the progress of a run to somebody: called often, prints when something is due."""

from __future__ import annotations

import time
from collections.abc import Callable

from elspeth.cli.view.logs import Log
from elspeth.cli.view.rate import RateMeter
from elspeth.cli.view.sight import Sight
from elspeth.coordinator.reporting.progress import Progress


class Display:
    """Called with the progress some twenty times a second, in the main thread; prints what is due."""

    def __init__(self, log: Log, show: Callable[[Sight], None], every: float) -> None:
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
        self._pace.see(now, progress.rows_committed, progress.offset)
        if now >= self._next:
            self._next = now + self._every
            self._show(self._sight(progress))

    def _sight(self, progress: Progress) -> Sight:
        return Sight(
            self._log.run_id or "",
            progress.rows_committed,
            progress.seconds,
            progress.offset,
            progress.size,
            self._pace.rows_per_second,
            self._pace.seconds_left(progress.size),
            dict(progress.sinks_committed),
            progress.waiting,
            progress.restarts,
        )
