"""Plugins that do what a row tells them to: die, hang, take memory, or take their time."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from elspeth.plugins.contract import (
    Aggregation,
    Context,
    Invalid,
    PluginOptions,
    Row,
    Source,
    Transform,
    TransientError,
)
from elspeth.plugins.sinks.csv_sink import CsvSink


def parent_of(pid: int) -> int:
    """The process above a process: above the one that children are forked from it is the main one."""
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def act(word: str, ctx: Context | None = None) -> None:
    """Carry out what the column `act` of a row says."""
    match word:
        case "exit":
            os._exit(7)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "loop":
            while True:
                pass
        case "memory":
            blocks = []
            while True:
                blocks.append(bytearray(1 << 24))
        case "hungry":
            taken = []
            while True:
                taken.append(b"x" * (1 << 22))  # touched, so that it is there
        case "parent":
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(60)
        case "bomb":
            os.kill(parent_of(os.getppid()), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        case "group":
            os.killpg(os.getpgid(0), signal.SIGKILL)
            time.sleep(60)
        case "busy":
            assert ctx is not None
            if ctx.attempt == 1:
                raise TransientError("busy")
        case "patient":
            assert ctx is not None
            for _ in range(50):
                time.sleep(0.1)
                ctx.progress()


class TrialOptions(PluginOptions):
    """`delay` in seconds for every row."""

    delay: float = 0.0


class Trial(Transform):
    """Doubles the id of each row, unless the row says otherwise."""

    name = "trial"
    Options = TrialOptions

    def process(self, row: Row, ctx: Context) -> Row:
        if self.options.delay:
            time.sleep(self.options.delay)
        if row["act"] != "-":
            act(row["act"], ctx)
        return {**row, "twice": 2 * row["id"]}


class TrialBatch(Aggregation):
    """Hands the rows of a batch on with their place in it; dies with a batch that holds a row which says so."""

    name = "trial_batch"
    Options = TrialOptions

    def process(self, rows: list[Row], ctx: Context) -> list[Row]:
        if self.options.delay:
            time.sleep(self.options.delay)
        for row in rows:
            if row["act"].startswith("batch-"):
                act(row["act"].removeprefix("batch-"))
        return [{**row, "place": place} for place, row in enumerate(rows)]


class TrialAfter(Transform):
    """A step behind a batch, which dies of a row that says so."""

    name = "trial_after"
    Options = TrialOptions

    def process(self, row: Row, ctx: Context) -> Row:
        if row["act"].startswith("after-"):
            act(row["act"].removeprefix("after-"), ctx)
        return {**row, "thrice": 3 * row["id"]}


class TrialSink(CsvSink):
    """A CSV sink that dies when it is given a row that says so."""

    name = "trial_csv"

    def write(self, rows: list[Row]) -> list[str | None]:
        for row in rows:
            if str(row["act"]).startswith("sink-"):
                act(row["act"].removeprefix("sink-"))
        return super().write(rows)


class StuckAtStart(Transform):
    """Cannot even be set up: its process ends."""

    name = "stuck_at_start"

    def setup(self, ctx: Context) -> None:
        os._exit(3)

    def process(self, row: Row, ctx: Context) -> Any:
        return row


class DripOptions(PluginOptions):
    """`rows` rows, the last one after `pause` seconds in which nothing comes; `act` is what the first one says."""

    rows: int
    pause: float
    act: str = "-"


class Drip(Source):
    """Waits for its last row, as for a person who types it."""

    name = "drip"
    Options = DripOptions

    def read(self, cursor: Any) -> Iterator[tuple[Row | Invalid, Any]]:
        for row in range(cursor or 0, self.options.rows):
            if row == self.options.rows - 1:
                time.sleep(self.options.pause)
            yield {"id": row, "act": "-" if row else self.options.act}, row + 1
