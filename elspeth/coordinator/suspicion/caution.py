"""How carefully an attempt begins after attempts that died at one place: its first rows go one at a time. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caution:
    """The first `rows` rows of an attempt go one at a time, so that a death of the whole tree names its row.

    Each row is marked while it is in hand, where the death of every process does not erase it (`ev.InHand`), and the
    next one waits until the sinks have it. `recorded`: for where a mark would not do. Then each row is committed to
    the record before it is touched, and durable before the next: as slow as the disk.
    """

    rows: int = 0
    recorded: bool = False

    @property
    def marked(self) -> bool:
        """Whether the row in hand is marked, and no more."""
        return self.rows > 0 and not self.recorded


NO_CAUTION = Caution()
