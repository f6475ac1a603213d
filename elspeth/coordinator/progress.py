"""What an attempt has done so far, for whoever watches: written by the coordinator, read by any thread."""

from __future__ import annotations

from collections import deque
from typing import Any

from elspeth.concealment import NOTHING, Concealment
from elspeth.coordinator.checkpoint import SourcePosition
from elspeth.coordinator.protocol import Chunk, Owned


class Progress:
    """Counts of the run, and lines that a person should see.

    `rows_read` and `rows_done` count rows over the whole run, `rows_before` those of earlier attempts; `offset` of
    `size` bytes of the input are read (None where nobody can tell). `sources` is where each source stands by the last
    commit.
    """

    def __init__(self, size: int | None = None, concealment: Concealment = NOTHING) -> None:
        self._concealment = concealment
        self.size = size
        self.offset: int | None = None
        self.started = False
        self.rows_before = 0
        self.rows_read = 0
        self.rows_done = 0
        self.rows_committed = 0
        self.commits = 0
        self.sources: dict[str, SourcePosition] = {}
        self.outcomes: dict[str, int] = {}
        self.sinks: dict[str, int] = {}
        self.restarts = 0
        self.poisoned = 0
        self.lines: deque[str] = deque(maxlen=1000)

    def notify(self, line: str) -> None:
        """A line for the person who watches."""
        self.lines.append(self._concealment.text(line))

    def owned(self, message: Owned) -> None:
        """The attempt drives the run from this checkpoint."""
        rows = message.checkpoint.row_count
        self.rows_before = self.rows_read = self.rows_done = self.rows_committed = rows
        self.started = True

    def read(self, chunk: Chunk) -> None:
        """A chunk was read."""
        self.rows_read = chunk.row_index + chunk.rows
        if chunk.offset is not None:
            self.offset = chunk.offset

    def update(self, machine: Any) -> None:
        """The flow has moved."""
        pipeline = machine.pipeline
        self.outcomes, self.sinks = pipeline.outcomes, pipeline.written_rows
        self.rows_done = pipeline.rows_done
        self.rows_committed = pipeline.durable.row_count
        self.sources = pipeline.durable.source_positions
