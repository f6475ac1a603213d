"""The live display of a run on a terminal: a bar where the source can tell its size, rates, and what sinks have."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from elspeth.cli import output
from elspeth.cli.view.display import Display, counts
from elspeth.cli.view.logs import Log
from elspeth.cli.view.rate import RateMeter, percent
from elspeth.coordinator.progress import Progress
from elspeth.visible import visible

FRAME_SECONDS = 0.15


@contextlib.contextmanager
def live(log: Log) -> Iterator[Display]:
    """A display that redraws itself in place; lines of the log appear above it."""
    console = Console(stderr=True, highlight=False)
    drawing = Live(console=console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, transient=True)
    before = log.write

    def show(progress: Progress, rate_meter: RateMeter) -> None:
        # A terminal that was closed is no reason to end the run that it shows.
        with contextlib.suppress(OSError):
            drawing.update(_picture(log.run_id or "", progress, rate_meter), refresh=True)

    def write(text: str) -> None:
        try:
            console.print(Text.from_ansi(output.rendered(text)), soft_wrap=True)
        except OSError:
            log.write = before

    with contextlib.suppress(OSError):
        drawing.start()
    log.write = write
    try:
        yield Display(log, show, FRAME_SECONDS)
    finally:
        log.write = before
        with contextlib.suppress(OSError):
            drawing.stop()


def _picture(run_id: str, progress: Progress, rate_meter: RateMeter) -> Group:
    done = percent(progress.offset, progress.size)
    rate, left = rate_meter.rows_per_second, rate_meter.seconds_left(progress.size)
    line = Table.grid(padding=(0, 2))
    cells: list[ProgressBar | Text] = [Text(run_id, "bold")]
    if done is not None:
        cells += [ProgressBar(100, done, width=24, complete_style="cyan", finished_style="green"), Text(f"{done:>3} %")]
    cells.append(Text(output.count(progress.rows_done, "row")))
    if rate:
        cells.append(Text(f"{rate:,.0f} rows/s"))
    if left is not None:
        cells.append(Text(f"about {output.seconds(left)} left"))
    line.add_row(*cells)
    below = [Text(visible(f"  {counts(progress.sinks)}"), overflow="ellipsis", no_wrap=True)] if progress.sinks else []
    if progress.restarts:
        below.append(Text(f"  {output.count(progress.restarts, 'restart')} of children", "yellow"))
    return Group(line, *below)
