"""What an attempt has done so far, for whoever watches: written by the coordinator, read by any thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from elspeth.concealment import NOTHING, Concealment
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition
from elspeth.coordinator.protocol import Chunk, Owned


def committed_bytes(sources: Mapping[str, SourcePosition]) -> int | None:
    """How many bytes of input are committed; None where a source cannot tell."""
    offsets = [position.offset for position in sources.values()]
    return sum(offset for offset in offsets if offset is not None) if offsets and None not in offsets else None


class Progress:
    """Counts of the run, and lines that a person should see.

    `rows_read` and `rows_done` count rows over the whole run, `rows_before` those of earlier attempts; of `size` bytes
    of the input `offset` are committed (None where nobody can tell). `sources` is where each source stands by the last
    commit, `durable` all that it says; `seconds` is how long the run has been driven, `waiting` what it waits for, if
    nothing gets done.
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
        self.durable: Checkpoint | None = None
        self.seconds = 0.0
        self.waiting = ""
        self.sources: dict[str, SourcePosition] = {}
        self.outcomes: dict[str, int] = {}
        self.sinks: dict[str, int] = {}
        self.sinks_committed: dict[str, int] = {}
        self.restarts = 0
        self.poisoned = 0
        self.lines: deque[str] = deque(maxlen=1000)

    def notify(self, line: str) -> None:
        """A line for the person who watches."""
        self.lines.append(self._concealment.text(line))

    def owned(self, message: Owned) -> None:
        """The attempt drives the run from this checkpoint."""
        self.durable = message.checkpoint
        rows = message.checkpoint.row_count
        self.rows_before = self.rows_read = self.rows_done = self.rows_committed = rows
        self.started = True

    def read(self, chunk: Chunk) -> None:
        """A chunk was read."""
        self.rows_read = chunk.row_index + chunk.rows

    def update(self, machine: Any) -> None:
        """The flow has moved."""
        pipeline = machine.pipeline
        self.outcomes, self.sinks = pipeline.outcomes, pipeline.written_rows
        self.durable = pipeline.durable
        self.sinks_committed = pipeline.durable.written_counts
        self.rows_done = pipeline.rows_done
        self.rows_committed = pipeline.durable.row_count
        self.sources = pipeline.durable.source_positions
        self.seconds = machine.active_seconds
        if self.rows_committed > self.rows_before:
            self.offset = committed_bytes(self.sources)
