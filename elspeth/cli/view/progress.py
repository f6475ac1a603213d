"""Shows how a run goes: a live display on a terminal, a line every few seconds anywhere else. All of it on stderr."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable, Iterator

from elspeth.cli.view.display import Display
from elspeth.cli.view.logs import Log
from elspeth.cli.view.sight import Sight, facts, words

FRAME_SECONDS = 0.15
LINE_SECONDS = 5.0


@contextlib.contextmanager
def display(log: Log) -> Iterator[Display]:
    """What shows the progress of a run that is driven here."""
    with drawing(log) as show:
        yield Display(log, show, FRAME_SECONDS)


@contextlib.contextmanager
def drawing(log: Log) -> Iterator[Callable[[Sight], None]]:
    """What draws a run, called as often as there is something to see, where stderr leads to."""
    if log.for_people and sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        from elspeth.cli.view.live import live  # rich is imported where there is a terminal to draw on

        with live(log) as show:
            yield show
        return
    last = time.monotonic()

    def line(sight: Sight) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= LINE_SECONDS:
            last = now
            log.notify(words(sight), "info", **facts(sight))

    yield line
