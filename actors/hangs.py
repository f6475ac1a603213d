"""Is it hung, or only slow? Judged by counted ticks, so that a pause of the judge is no evidence. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Sign:
    """What one look at a child found.

    `progress` is any value that changes when the child gets on. `has_work`: it is busy, or was sent something that it
    has not taken. `waiting`: it says that it waits for the outside world. `stopped`: by a signal or a debugger.
    `burning`: it used CPU for at least half of the time since the look before.
    """

    progress: Hashable
    has_work: bool
    waiting: bool = False
    stopped: bool = False
    burning: bool = False

    @property
    def suspicious(self) -> bool:
        """Whether silence would mean something in this state."""
        return self.has_work and (not self.waiting or self.stopped or self.burning)


class HangWatch:
    """Counts the looks in a row at which a child had something to do and did not get on."""

    def __init__(self, limit: int) -> None:
        """`limit` is the number of silent looks, at least 2, that make a child hung."""
        self._limit = max(2, limit)
        self._silent = 0
        self._progress: Hashable = None

    def look(self, sign: Sign) -> Literal["fine", "nearly", "hung"]:
        """The verdict; "nearly" one look before "hung", the moment to collect evidence."""
        if sign.suspicious and sign.progress == self._progress:
            self._silent += 1
        else:
            self._silent = 0
        self._progress = sign.progress
        if self._silent >= self._limit:
            return "hung"
        return "nearly" if self._silent == self._limit - 1 else "fine"
