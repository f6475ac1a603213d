"""What is in flight: slices before their release, micro-batches after it, barriers before their commit, consumers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from elspeth.calls.totals import Totals
from elspeth.canonical import JsonObject
from elspeth.coordinator.blame import Conviction, Suspicion
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition
from elspeth.coordinator.protocol import SplitPoint
from elspeth.coordinator.tally import NOTHING, Tally

Body = Any  # bytes that the machine carries and never looks into


@dataclass(slots=True, eq=False)
class ChunkSlice:
    """A run of rows of one chunk that is decided together, in the order of the input.

    `worker` is who has it now; `alone` asks for a fresh worker with nothing else to do; `blame` is the token of a
    suspicion that must be on record before the slice is touched again. `deaths` counts those that it saw alone;
    `inherited` of them are known from earlier attempts.

    While an `exclusive` one is touched no other row is: memory, or the process that all were forked from, is shared.
    `memory` says that one of its deaths was for want of memory; `held` that it waits for how others fare; `seen` that
    it was in hand, beside others, when a pool died, `again` that it was given to a process that is dead.
    """

    seq: int
    start: int
    stop: int
    row_index: int
    source: str
    split_points: tuple[SplitPoint, ...]
    rows: Body
    size: int = 0
    offset: int | None = None
    ended: bool = False
    last: bool = False
    worker: str | None = None
    done: bool = False
    alone: bool = False
    deaths: int = 0
    inherited: int = 0
    blame: int | None = None
    exclusive: bool = False
    memory: bool = False
    held: bool = False
    seen: bool = False
    again: bool = False
    poison: Conviction | None = None
    items: Body = None
    records: Body = None
    outcomes: dict[str, int] = field(default_factory=dict)
    calls: Totals = field(default_factory=dict)
    tally: Tally = NOTHING

    @property
    def row_range(self) -> range:
        """The indexes of its rows."""
        return range(self.row_index, self.row_index + self.stop - self.start)

    def split_point(self) -> SplitPoint | None:
        """The split point at the end of the slice, if there is one: only there may a commit stop."""
        for split_point in self.split_points:
            if split_point.rows == self.stop:
                return split_point
        return None

    def part(self, start: int, stop: int) -> ChunkSlice:
        """The rows `start` to `stop` as a slice of their own, undecided. Only the last part of a slice keeps flags."""
        size = self.size * (stop - start) // max(1, self.stop - self.start)
        return ChunkSlice(
            self.seq, start, stop, self.row_index + start - self.start, self.source, self.split_points, self.rows, size,
            offset=self.offset if stop == self.stop else None,
            ended=self.ended and stop == self.stop, last=self.last and stop == self.stop, again=self.again,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class MicroBatch:
    """A released result. `inputs` keeps what each ordered consumer was given, until the micro-batch is durable.

    `stage` is the next one to pass. `deaths` counts by stage and place of the item that was touched; `poison` has the
    items to set aside, by stage. `alone` asks for a fresh worker; `seen` says that it was in hand, beside others, when
    a pool died, `again` that it was given to a process that is dead. `entering` are the items that a stateless stage is
    to take, or the rows where nobody counted.
    """

    no: int
    rows: int
    row_end: int
    size: int
    active_seconds: float
    tick: bool = False
    end: bool = False
    stage: int = 1
    inputs: dict[int, Body] = field(default_factory=dict)
    records: list[Body] = field(default_factory=list)
    worker: str | None = None
    exclusive: bool = False
    complete: bool = False
    alone: bool = False
    seen: bool = False
    again: bool = False
    entering: int = 0
    deaths: dict[tuple[int, int], int] = field(default_factory=dict)
    poison: dict[int, dict[int, Conviction]] = field(default_factory=dict)
    outcomes: dict[str, int] = field(default_factory=dict)
    calls: Totals = field(default_factory=dict)
    tally: Tally = NOTHING
    own_rows: bool = True
    sinks: dict[str, int] = field(default_factory=dict)

    def passed(self, stage: int) -> bool:
        """Whether the stage (or the sinks, the one after the last) has answered for this micro-batch."""
        return self.complete or self.stage > stage

    def blame(self, stage: int, place: int, suspicion: Suspicion, attempts: int) -> bool:
        """A process died on this item; True if that was its last chance, and it is to be set aside from now on."""
        deaths = self.deaths[stage, place] = self.deaths.get((stage, place), 0) + 1
        if deaths < attempts:
            return False
        conviction = suspicion.convict(deaths, micro_batch=self.no, stage=stage, place=place)
        self.poison.setdefault(stage, {})[place] = conviction
        return True


@dataclass(slots=True, eq=False)
class Barrier:
    """A commit on its way: behind micro-batch `no`, ready when every consumer has answered, then sent to audit."""

    no: int
    row_end: int
    sources: dict[str, SourcePosition]
    active_seconds: float
    final: bool = False
    flush_sent: set[str] = field(default_factory=set)
    positions: dict[str, JsonObject] | None = None
    states: dict[int, JsonObject] = field(default_factory=dict)
    commit_sent: bool = False
    checkpoint: Checkpoint | None = None
    tally_stored: bool = True


@dataclass(slots=True, eq=False)
class Consumer:
    """A consumer that takes every micro-batch in order: an ordered stage, or the sinks (the stage after the last).

    Micro-batches up to `careful_no` were with a process that died, and any of them may have killed it.
    """

    name: str
    stage: int
    up: bool = False
    restoring: bool = False
    next_no: int = 1
    careful_no: int = 0


@dataclass(slots=True, eq=False)
class WorkerState:
    """A worker as the machine knows it. `fresh` until it has been given its first task; `far`: on another machine."""

    name: str
    far: bool = False
    fresh: bool = True
    tasks: list[ChunkSlice | MicroBatch] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows it has to decide."""
        return sum(task.entering if isinstance(task, MicroBatch) else task.stop - task.start for task in self.tasks)
