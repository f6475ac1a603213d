"""When to commit, how much may be in flight, how large a chunk should be: pure numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Frequency = Literal["every_row", "every_n", "aggregation_only"]

WORK_SECONDS = 0.06
"""What a chunk should keep a worker busy for: long enough to pay for its transport, short enough to be lost."""

GROWTH = 4
"""A chunk is at most this many times the one before: a pipeline of unknown speed is approached from below."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that the flow depends on. Sizes in rows, bytes and worker processes."""

    frequency: Frequency = "every_row"
    interval: int = 1000
    max_rows: int = 10_000
    max_bytes: int = 32 << 20
    workers: int = 1
    poison_attempts: int = 3
    chunk_rows: int = 1000
    pool_size: int = 1

    def commit_rows(self) -> int:
        """After how many rows a commit is asked for."""
        if self.frequency == "every_row":
            return 1
        if self.frequency == "every_n":
            return min(self.interval, self.max_rows)
        return self.max_rows

    def largest_chunk(self) -> int:
        """The most rows a chunk may have, so that commits keep to their interval."""
        return max(1, min(self.chunk_rows, self.commit_rows() if self.frequency == "every_n" else self.chunk_rows))

    def smallest_chunk(self) -> int:
        """The fewest rows a chunk is cut down to: enough to keep a pool of slow rows busy to its end."""
        return 1 if self.pool_size == 1 else 4 * self.pool_size

    def window_rows(self) -> int:
        """How many rows may be read and not yet durable."""
        return max(4 * self.largest_chunk(), 2 * self.commit_rows())

    def window_bytes(self) -> int:
        """How many bytes may be read and not yet durable."""
        return 2 * self.max_bytes

    def window_slices(self) -> int:
        """How many chunks may be read and not yet decided."""
        return 2 * self.workers + 2


class ChunkSize:
    """How many rows the next chunk should have, from what the last ones cost."""

    def __init__(self, smallest: int, largest: int) -> None:
        self._smallest = min(smallest, largest)
        self._largest = largest
        self.rows = self._smallest
        self.row_seconds = 0.0

    def learn(self, rows: int, seconds: float) -> None:
        """A slice of `rows` rows took a worker this long."""
        if not rows:
            return
        cost = seconds / rows
        self.row_seconds = cost if not self.row_seconds else 0.5 * (self.row_seconds + cost)
        fitting = int(WORK_SECONDS / self.row_seconds) if self.row_seconds > 0 else self._largest
        self.rows = max(self._smallest, min(fitting, self.rows * GROWTH, self._largest))

    def slow(self) -> bool:
        """Whether chunks are so slow that a worker should not be given one while it has another."""
        return self.rows * self.row_seconds > 2 * WORK_SECONDS
