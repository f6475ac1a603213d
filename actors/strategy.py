"""May it restart? Restart types and restart intensity as in OTP. Pure: time comes in as an argument.

Source: https://www.erlang.org/doc/design_principles/sup_princ (maximum restart intensity) and
`add_restart` in OTP's supervisor.erl.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from actors.spec import Restart


@dataclass(frozen=True, slots=True)
class RestartIntensity:
    """At most `max_restarts` within any `within_seconds`; with one more the supervisor gives up. 0 means never."""

    max_restarts: int = 3
    within_seconds: float = 60.0

    def __post_init__(self) -> None:
        if self.max_restarts < 0:
            raise ValueError(f"max_restarts is {self.max_restarts!r}; it must be 0 or more")
        if not (math.isfinite(self.within_seconds) and self.within_seconds > 0):
            raise ValueError(f"within_seconds is {self.within_seconds!r}; it must be seconds above 0")

    def recent(self, timestamps: Sequence[float], now: float) -> list[float]:
        """Those of the earlier restarts (seconds, any monotonic clock) that still count at `now`."""
        return [then for then in timestamps if now <= then + self.within_seconds]

    def allowed(self, timestamps: Sequence[float], now: float) -> bool:
        """Whether one more restart at `now` stays within the intensity, after restarts at `timestamps`."""
        return len(self.recent(timestamps, now)) < self.max_restarts


def wanted(restart: Restart, exit_code: int | None) -> bool:
    """Whether a child of this kind is to be started again after it ended.

    A permanent child always, a temporary one never, a transient one unless it ended normally (exit code 0).
    """
    return restart == "permanent" or (restart == "transient" and exit_code != 0)
