"""Is it hung, or only slow? Judged by counted ticks, so that a pause of the judge is no evidence. Pure."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Vitals:
    """What one look at a child found.

    `progress` is any value that changes when the child gets on. `has_work`: it is busy, or was sent something that it
    has not taken. `waiting`: it says that it waits for the outside world. `stopped`: by a signal or a debugger.
    `burning`: it used a good part of a CPU since the look before.
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


class HangDetector:
    """Counts the looks since its last progress at which a child's silence meant something.

    A look at a child that waits, and neither is stopped nor burns CPU, counts neither way: on a busy machine a child in
    an endless loop gets its share of the CPU only now and then.
    """

    def __init__(self, limit: int) -> None:
        """`limit` is the number of silent looks, at least 2, that make a child hung."""
        self._limit = max(2, limit)
        self._silent = 0
        self._progress: Hashable = None

    def look(self, vitals: Vitals) -> Literal["fine", "nearly", "hung"]:
        """The verdict; "nearly" one look before "hung", the moment to collect evidence."""
        if vitals.progress != self._progress or not vitals.has_work:
            self._silent = 0
        elif vitals.suspicious:
            self._silent += 1
        self._progress = vitals.progress
        if self._silent >= self._limit:
            return "hung"
        return "nearly" if self._silent == self._limit - 1 else "fine"
