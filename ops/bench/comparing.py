"""What measurements share: how much is measured, a line of the table, and programs that run in turn."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Size:
    """How much is measured: rows of each input, and rounds of each comparison."""

    rounds: int = 5
    rows: int = 300_000
    large: int = 3_000_000
    busy: int = 20_000
    waiting: int = 600


QUICK = Size(rounds=3, rows=60_000, large=300_000, busy=4_000, waiting=200)


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table: `reached` beside `target`, which is the least or, if `most`, the most."""

    what: str
    reached: float
    target: float | None = None
    most: bool = False
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if self.target is None:
            return None
        return self.reached <= self.target if self.most else self.reached >= self.target


def alternating(rounds: int, programs: dict[str, Callable[[], float]]) -> dict[str, float]:
    """The median time of each program (seconds), all of them run in turn so often."""
    times: dict[str, list[float]] = defaultdict(list)
    for _ in range(rounds):
        for name, program in programs.items():
            times[name].append(program())
            print(f"    {name} {times[name][-1]:.2f} s", file=sys.stderr, flush=True)
    return {name: median(found) for name, found in times.items()}
