"""What a run waits for when nothing gets done, in one sentence that says the same wherever it is read. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from elspeth.coordinator.elsewhere.far_workers import Absent
from elspeth.coordinator.names import SOURCE

AFTER_SECONDS = 10.0
"""So long nothing may be committed before it is said what is waited for."""

AGAIN_SECONDS = 30.0
"""On record it is said again at most so often, and only where something else is waited for."""

EVENT = "waiting"
"""The event that holds it, for whoever reads the database."""

_SHOWN = 3
_WHY = {
    "paused": "429",
    "down": "does not answer",
    "concurrent": "all its places are taken",
    "requests": "its requests per minute are used up",
    "tokens": "its tokens per minute are used up",
}


@dataclass(frozen=True, slots=True)
class Hand:
    """A child that is at work: at which row and step, as far as it can be named."""

    child: str
    row: int | None = None
    step: str = ""

    def __str__(self) -> str:
        at = f" at row {self.row}" if self.row is not None else " at work"
        return f"{self.child} is{at}{f' in {self.step}' if self.step else ''}"


@dataclass(frozen=True, slots=True)
class Held:
    """Calls that wait for leave to be sent: to whom, why (`elspeth.calls.limits`), and for how many seconds yet."""

    provider: str
    why: str
    seconds: float

    def __str__(self) -> str:
        left = f", {self.seconds:,.0f} s" if self.seconds >= 1 else ""
        return f"waiting for provider {self.provider}: {_WHY.get(self.why, self.why)}{left}"


def in_hand(touching: Mapping[str, tuple[int, int]], tasks: Collection[str], steps: Mapping[int, str]) -> list[Hand]:
    """Who is at work, and at what. `touching` is what children say; `tasks` names the workers that were given rows."""
    hands = []
    for child, (position, detail) in touching.items():
        if child.startswith("worker-"):
            if child in tasks:
                hands.append(Hand(child, position, steps.get(detail, "")) if position >= 0 else Hand(child))
        elif position >= 0 and child != SOURCE:  # what a source touches it has given, unless nothing else is in hand
            hands.append(Hand(child))
    return hands


def waited_for(
    hands: Sequence[Hand], held: Iterable[Held | Absent], hang_seconds: float | None, *, reading: bool
) -> str:
    """What is waited for. `reading`: nothing is in hand, so that it is the source; `hang_seconds` ends a hang."""
    parts = [str(each) for each in held]
    shown = [str(hand) for hand in hands[:_SHOWN]]
    if len(hands) > _SHOWN:
        shown.append(f"{len(hands) - _SHOWN} more are at work")
    if shown:
        parts.append(", ".join(shown) + (f" (limit {hang_seconds:g} s)" if hang_seconds else ""))
    elif reading:
        parts.append("the source has given no row")
    return "; ".join(parts) or "the outputs and the audit database are being written"


def sentence(seconds: float, what: str) -> str:
    """The whole sentence."""
    return f"no row finished for {seconds:,.0f} s: {what}"


class Standstill:
    """Since when nothing has been committed, and what of it is on record. `now` are seconds that do not go back."""

    def __init__(self, now: float) -> None:
        self._since = now
        self._rows = -1
        self._said = ""
        self._said_at = 0.0

    def seconds(self, rows: int, now: float) -> float | None:
        """For how long nothing was committed beyond these rows; None while that is nothing to speak of."""
        if rows != self._rows:
            self._rows, self._since, self._said = rows, now, ""
        silent = now - self._since
        return silent if silent >= AFTER_SECONDS else None

    def news(self, what: str, now: float) -> bool:
        """Whether this is to be put on record. `what` holds no number that changes by itself."""
        if what == self._said or (self._said and now - self._said_at < AGAIN_SECONDS):
            return False
        self._said, self._said_at = what, now
        return True
