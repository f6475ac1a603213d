"""The live display of a run on a terminal: lines that are drawn anew in place, below those of the log."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from elspeth.cli import output
from elspeth.cli.view.logs import Log
from elspeth.cli.view.sight import Sight, below, headline
from elspeth.visible import visible


@contextlib.contextmanager
def live(log: Log) -> Iterator[Callable[[Sight], None]]:
    """A display that redraws itself in place; lines of the log appear above it."""
    console = Console(stderr=True, highlight=False)
    drawing = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, transient=True)
    before = log.write

    def show(sight: Sight) -> None:
        # A terminal that was closed is no reason to end the run that it shows.
        with contextlib.suppress(OSError):
            drawing.update(_picture(sight, console.width), refresh=True)

    def write(text: str) -> None:
        try:
            console.print(Text.from_ansi(output.rendered(text)), soft_wrap=True)
        except OSError:
            log.write = before

    with contextlib.suppress(OSError):
        drawing.start()
    log.write = write
    try:
        yield show
    finally:
        log.write = before
        with contextlib.suppress(OSError):
            drawing.stop()


def _picture(sight: Sight, columns: int) -> Group:
    lines = [Text(headline(sight, columns), "bold", no_wrap=True, overflow="ellipsis")]
    for line in below(sight, columns):
        style = "yellow" if sight.waiting and line.strip() in visible(sight.waiting) else ""
        lines.append(Text(line, style, no_wrap=True, overflow="ellipsis"))
    return Group(*lines)
