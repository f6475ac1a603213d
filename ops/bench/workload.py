"""Transforms that take time: one keeps the processor busy, one waits as for an answer from elsewhere."""

from __future__ import annotations

import time
from typing import Any, ClassVar

from pydantic import Field

from elspeth.plugins.contract import Context, PluginOptions, Row, Transform


class TurnsOptions(PluginOptions):
    """Options of `busy`."""

    turns: int = Field(description="How many turns of a loop a row takes.")


class Busy(Transform):
    """Computes in Python; the same work for every row, however busy the machine is."""

    name = "busy"
    Options: ClassVar[type[PluginOptions]] = TurnsOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._turns = options.turns

    def process(self, row: Row, ctx: Context) -> Row:
        return {**row, "labour": work(self._turns, row["amount"])}


class WaitOptions(PluginOptions):
    """Options of `waiting`."""

    seconds: float = Field(description="How long a row takes.")


class Waiting(Transform):
    """Waits, as for the answer of a service, and uses no processor."""

    name = "waiting"
    Options: ClassVar[type[PluginOptions]] = WaitOptions

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._seconds = options.seconds

    def process(self, row: Row, ctx: Context) -> Row:
        time.sleep(self._seconds)
        return {**row, "answer": row["amount"] * 2}


def work(turns: int, value: int) -> int:
    """So many turns of a loop."""
    for _ in range(turns):
        value = (value * 1103515245 + 12345) & 0x7FFFFFFF
    return value


def turns_per_millisecond() -> int:
    """How many turns make a millisecond on this machine, from the best of a few tries."""
    best = float("inf")
    for _ in range(20):
        started = time.perf_counter()
        work(20_000, 1)
        best = min(best, time.perf_counter() - started)
    return int(20_000 / best / 1000)
