"""Shows how a run goes: a live display on a terminal, a line every few seconds anywhere else. All of it on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from elspeth.cli import output
from elspeth.cli.view.display import Display, counts
from elspeth.cli.view.logs import Log
from elspeth.cli.view.rate import RateMeter, percent
from elspeth.coordinator.progress import Progress

LINE_SECONDS = 5.0


@contextlib.contextmanager
def display(log: Log) -> Iterator[Display]:
    """The display that fits where stderr leads to."""
    if log.for_people and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from elspeth.cli.view.live import live  # rich is imported where there is a terminal to draw on

        with live(log) as shown:
            yield shown
        return
    yield Display(
        log,
        lambda progress, rate_meter: log.notify(words(progress, rate_meter), "info", **facts(progress, rate_meter)),
        LINE_SECONDS,
    )


def words(progress: Progress, rate_meter: RateMeter) -> str:
    """The progress as one line."""
    done = percent(progress.offset, progress.size)
    rate, left = rate_meter.rows_per_second, rate_meter.seconds_left(progress.size)
    parts = [output.count(progress.rows_done, "row") + (f" ({done} % read)" if done is not None else "")]
    if rate:
        parts.append(f"{rate:,.0f} rows/s")
    if left is not None:
        parts.append(f"about {output.seconds(left)} left")
    sinks = counts(progress.sinks)
    return ", ".join(parts) + (f"; {sinks}" if sinks else "")


def facts(progress: Progress, rate_meter: RateMeter) -> dict[str, object]:
    """The same as values, for programs that read the lines."""
    rate, left = rate_meter.rows_per_second, rate_meter.seconds_left(progress.size)
    return {
        "rows": progress.rows_done,
        "rows_per_second": None if rate is None else round(rate, 1),
        "percent": percent(progress.offset, progress.size),
        "seconds_left": None if left is None else round(left, 1),
        "sinks": dict(progress.sinks),
    }
