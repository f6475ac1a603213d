"""When to commit, how much may be in flight, how large a chunk should be: pure numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Frequency = Literal["every_row", "every_n", "aggregation_only"]

WORK_SECONDS = 0.06
"""What a chunk should keep a worker busy for: long enough to pay for its transport, short enough to be lost."""

MAIN_SECONDS = 0.004
"""What a chunk may cost the main process, when it goes to another machine and comes back decided; 1.4 to 1.9 ms were
measured with Ray, twice that on a busy machine. Where workers are so many that it would not get round to each in time,
chunks take longer."""

GROWTH = 4
"""A chunk is at most this many times the one before: a pipeline of unknown speed is approached from below."""


AHEAD = 10
"""How many rows are read and not decided for each that a pool has in flight: one that takes ten times as long as others
keeps its successors from being released, but not the pool from being full."""

FAR_BYTES = 256 << 10
"""So much may be read for each worker elsewhere; with less than some hundreds of them `max_bytes` is more."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings that the flow depends on. Sizes in rows, bytes and worker processes.

    `pool_size` is how many rows may be in flight in the run where a step waits for something outside; the workers
    share it. 1: no step does, and each worker has one row in hand. `far` of the workers, those with the highest
    numbers, run on other machines: when they come is not ours to say, nor whether they stay.
    """

    frequency: Frequency = "every_row"
    interval: int = 1000
    max_rows: int = 10_000
    max_bytes: int = 32 << 20
    workers: int = 1
    poison_attempts: int = 3
    chunk_rows: int = 1000
    pool_size: int = 1
    far: int = 0

    @property
    def here(self) -> int:
        """How many workers there may be on this machine: those with the lowest numbers."""
        return self.workers - self.far

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

    def pool_share(self) -> int:
        """How many rows a worker has in flight, at most."""
        return share(self.pool_size, 0, self.workers)

    def first_chunk(self) -> int:
        """How many rows the first chunks have: enough for all workers to be busy with few, for a row may be slow."""
        return 1 if self.pool_size == 1 else min(max(1, self.pool_share() // 4), self.largest_chunk())

    def window_undecided(self) -> int:
        """How many rows may be read and not yet decided, be they in however many chunks."""
        return 0 if self.pool_size == 1 else AHEAD * self.pool_size

    def window_rows(self) -> int:
        """How many rows may be read and not yet durable. Of many workers, each is to have a full chunk."""
        chunks = self.window_slices() if self.far else 4
        return max(chunks * self.largest_chunk(), 2 * self.commit_rows(), 2 * self.window_undecided())

    def window_bytes(self) -> int:
        """How many bytes may be read and not yet durable. Each worker elsewhere is to have something at hand."""
        return max(2 * self.max_bytes, self.far * FAR_BYTES)

    def window_slices(self) -> int:
        """How many chunks may be read and not yet decided."""
        return 2 * self.workers + 2


def work_seconds(workers: int) -> float:
    """What a chunk should keep one of so many workers busy for."""
    return max(WORK_SECONDS, workers * MAIN_SECONDS)


def share(pool_size: int, number: int, workers: int) -> int:
    """How many of the rows that the run may have in flight worker `number` (from 0) of so many may have."""
    return pool_size // workers + (number < pool_size % workers)


class ChunkSize:
    """How many rows the next chunk should have, from what the last ones cost."""

    def __init__(self, first: int, largest: int) -> None:
        self._largest = largest
        self.rows = first
        self.row_seconds = 0.0

    def learn(self, rows: int, seconds: float, workers: int = 1) -> None:
        """A slice of `rows` rows took one of so many workers this long."""
        if not rows:
            return
        cost = seconds / rows
        self.row_seconds = cost if not self.row_seconds else 0.5 * (self.row_seconds + cost)
        fitting = int(work_seconds(workers) / self.row_seconds) if self.row_seconds > 0 else self._largest
        self.rows = max(1, min(fitting, self.rows * GROWTH, self._largest))

    def slow(self, workers: int = 1) -> bool:
        """Whether chunks are so slow that one of so many workers should not be given one while it has another."""
        return self.rows * self.row_seconds > 2 * work_seconds(workers)
