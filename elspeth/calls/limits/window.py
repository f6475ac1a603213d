"""No more than so much in any minute: an exact bound, whatever the sizes and however they come.

A token bucket alone does not give it: one that holds a minute's worth lets two minutes' worth through in one. What was
granted is therefore remembered for a minute (a sliding window), in cells, so that a limit of a million is as cheap as
one of ten.
"""

from __future__ import annotations

import math

import msgspec

CELL = 0.5
"""Seconds that are remembered as one: a grant counts until the end of its cell is a minute ago, never less."""

ON_THE_WAY = 1.0
"""Seconds that a request may take from here to the service, which counts it when it arrives."""

REMEMBERED = 60.0 + ON_THE_WAY


class Window(msgspec.Struct, frozen=True):
    """What was granted in the last minute: (number of the cell, amount), the oldest first."""

    cells: tuple[tuple[int, int], ...] = ()

    def wait(self, limit: int, amount: int, now: float) -> float:
        """Seconds until `amount` more keeps within `limit` a minute; 0: at once.

        An amount beyond the limit can never keep within it: it goes when nothing else was granted in that minute.
        """
        excess = sum(size for number, size in self.cells if _expires(number) > now) - max(limit - amount, 0)
        until = now
        for number, size in self.cells:
            if excess <= 0:
                break
            if _expires(number) > now:
                excess -= size
                until = _expires(number)
        return until - now

    def granted(self, amount: int, now: float) -> Window:
        """The window after a grant."""
        return self._changed(math.floor(now / CELL), amount, now)

    def settled(self, expected: int, actual: int, granted_at: float, now: float) -> Window:
        """The window after what was granted on an estimate turned out otherwise."""
        number = math.floor(granted_at / CELL)
        return self._changed(number, actual - expected, now) if _expires(number) > now else self

    def _changed(self, number: int, amount: int, now: float) -> Window:
        cells = {cell: size for cell, size in self.cells if _expires(cell) > now}
        cells[number] = max(cells.get(number, 0) + amount, 0)
        return Window(tuple(sorted(cells.items())))


def _expires(number: int) -> float:
    return (number + 1) * CELL + REMEMBERED
