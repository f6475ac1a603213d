"""How often a transient error is tried again, and after which waits. Named as in the settings; imports nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """At most `max_attempts` tries; the waits between them grow by `exponential_base` up to `max_delay_seconds`."""

    max_attempts: int = 3
    initial_delay_seconds: float = 1.0
    max_delay_seconds: float = 60.0
    exponential_base: float = 2.0

    def delay(self, failures: int) -> float:
        """The wait after this many failures (1 and up), in seconds."""
        return float(min(self.max_delay_seconds, self.initial_delay_seconds * self.exponential_base ** (failures - 1)))
