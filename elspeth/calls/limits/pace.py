"""Spreads what a minute allows over the minute: a token bucket that holds two seconds' worth.

Services that allow 600 a minute often mean ten a second. Algorithm: token bucket, as in ITU-T I.371 and RFC 2697.
"""

from __future__ import annotations

import msgspec

BURST_SECONDS = 2.0


class Pace(msgspec.Struct, frozen=True):
    """How much was taken from the bucket, and when that was counted; a new one is full."""

    taken: float = 0.0
    at: float = 0.0

    def wait(self, per_minute: float, now: float) -> float:
        """Seconds until the next may go, of whatever size: a large one makes those behind it wait; 0: at once."""
        rate = per_minute / 60
        spare = max(rate * BURST_SECONDS, 1.0) - self._left(rate, now)
        return max((1.0 - spare) / rate, 0.0)

    def granted(self, per_minute: float, amount: float, now: float) -> Pace:
        """The bucket after `amount` was taken."""
        return Pace(self._left(per_minute / 60, now) + amount, now)

    def _left(self, rate: float, now: float) -> float:
        return max(self.taken - (now - self.at) * rate, 0.0)
