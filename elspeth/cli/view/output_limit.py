"""How much of what children print is shown: so much of each in a second. Pure: time is handed in."""

from __future__ import annotations

from dataclasses import dataclass

LINES_PER_SECOND = 1000
CHARACTERS_PER_SECOND = 1 << 20
"""More than a person can read or a log collector should have to take; a plugin that prints each row gets here."""


@dataclass(slots=True)
class _Second:
    """What one child printed in the second that began at `since`."""

    since: float
    lines: int = 0
    characters: int = 0
    left_out: int = 0


class OutputLimit:
    """Decides line by line. What it left out is told once the second is over."""

    def __init__(self) -> None:
        self._seconds: dict[str, _Second] = {}

    def admit(self, child: str, length: int, now: float) -> bool:
        """Whether a line of this many characters is shown; `now` in seconds of any monotonic clock."""
        second = self._seconds.setdefault(child, _Second(now))
        if now - second.since >= 1.0 and not second.left_out:
            second = self._seconds[child] = _Second(now)
        second.lines += 1
        second.characters += length
        if second.left_out or second.lines > LINES_PER_SECOND or second.characters > CHARACTERS_PER_SECOND:
            second.left_out += 1
            return False
        return True

    def overdue(self, now: float, *, end: bool = False) -> list[tuple[str, int]]:
        """Whose lines were left out in a second that is over (at the `end`: at all), and how many of them."""
        notes = [
            (child, second.left_out)
            for child, second in self._seconds.items()
            if second.left_out and (end or now - second.since >= 1.0)
        ]
        for child, _ in notes:
            del self._seconds[child]
        return notes
