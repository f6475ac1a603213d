"""A cluster in virtual time: the coordinator's machine, and nodes behind a network, with costs that were measured.

    python -m tests.kit.simulator.cluster

prints how many rows a second so many nodes decide, and what share of the ideal that is: all workers busy all the time.
The costs are those of processes on one processor each; what the machine itself takes is measured as it runs.
"""

from __future__ import annotations

import heapq
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.machine.machine import Machine
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE
from elspeth.coordinator.policy import Policy

MICRO = 1e-6
COMMIT_SECONDS = 5.0


@dataclass(frozen=True)
class Costs:
    """Seconds, and bytes. Measured: pieces on Ray 2.60, rows in local runs of 200,000 rows and two steps."""

    far_piece: float = 1.2e-3  # what a piece to or from another machine takes of the main process
    piece_bytes: int = 90_000
    near_frame: float = 60 * MICRO  # what a frame to or from a child of this machine takes of it
    near_row: float = 3 * MICRO
    latency: float = 2e-3
    link_bytes: float = 125e6  # a second, each way: 1 Gb
    row_out: int = 300
    row_back: int = 1_200
    source_row: float = 7 * MICRO
    sink_row: float = 7 * MICRO
    audit_row: float = 25 * MICRO
    flush: float = 4e-3
    commit: float = 6e-3
    begin: float = 8.0  # from asking for a worker to its being there


@dataclass
class Server:
    """Does one thing after the other."""

    free: float = 0.0
    busy: float = 0.0

    def take(self, now: float, seconds: float) -> float:
        """When something is done that comes now and takes so long."""
        self.free = max(self.free, now) + seconds
        self.busy += seconds
        return self.free


@dataclass
class Work:
    """A worker: it takes slices in their order."""

    server: Server = field(default_factory=Server)


@dataclass(frozen=True)
class Found:
    """What came of a simulated run in its second half, when all is under way."""

    rows_a_second: float
    ideal: float
    main_busy: float
    audit_busy: float
    machine_seconds: float  # that the machine took for a slice, as measured
    slice_seconds: float

    @property
    def share(self) -> float:
        """Of the ideal."""
        return self.rows_a_second / self.ideal


class ClusterRun:
    """One attempt with all its workers elsewhere, from an input that does not end."""

    def __init__(self, workers: int, row_seconds: float, costs: Costs | None = None, *, measured: bool = True) -> None:
        self.costs = costs or Costs()
        self.row_seconds, self.measured = row_seconds, measured
        self.policy = Policy("every_n", 5_000, workers=workers, far=workers)
        self.machine = Machine(self.policy, (False,), start_checkpoint({"out": {}}))
        self.now, self._number = 0.0, 0
        self._todo: list[tuple[float, int, Callable[[], None]]] = []
        self._inbox: deque[tuple[ev.Event, float]] = deque()
        self._main_idle = True
        self.main, self.source, self.sinks, self.audit = Server(), Server(), Server(), Server()
        self.uplink, self.downlink = Server(), Server()
        self.workers: dict[str, Work] = {}
        self.read = self.seq = self.slices = 0
        self.machine_seconds = 0.0

    def run(self, seconds: float) -> Found:
        """Run for so long in virtual time."""
        half = seconds / 2
        for event in (ev.Started(SINKS), ev.Restored(SINKS), ev.Started(SOURCE), ev.Restored(SOURCE)):
            self._hear(event, 0.0)
        before: tuple[float, float, int, float, int] | None = None
        self._at(COMMIT_SECONDS, self._commit_due)
        while self._todo and self.now < seconds:
            self.now, _, do = heapq.heappop(self._todo)
            if before is None and self.now >= half:
                before = (
                    self.main.busy, self.audit.busy, self.slices, self.machine_seconds, self.machine.pipeline.rows_done
                )  # fmt: skip
            do()
        assert before is not None
        done = self.machine.pipeline.rows_done - before[4]
        slices = max(1, self.slices - before[2])
        return Found(
            done / half, len(self.workers) / self.row_seconds,
            (self.main.busy - before[0]) / half, (self.audit.busy - before[1]) / half,
            (self.machine_seconds - before[3]) / slices, self.machine.dispatcher.chunk.rows * self.row_seconds,
        )  # fmt: skip

    def _commit_due(self) -> None:
        if self.machine.released():
            self._hear(ev.CommitDue(), 0.0)
        self._at(self.now + COMMIT_SECONDS, self._commit_due)

    def _at(self, moment: float, do: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._todo, (moment, self._number, do))

    # -- the main process --------------------------------------------------------------------------------------

    def _hear(self, event: ev.Event, cost: float) -> None:
        """A frame has come to the main process, which takes so long to read it."""
        self._inbox.append((event, cost))
        if self._main_idle:
            self._main_idle = False
            self._at(self.now, self._step)

    def _step(self) -> None:
        event, cost = self._inbox.popleft()
        begun = time.thread_time()
        commands = self.machine.step(event)
        took = time.thread_time() - begun if self.measured else 0.0
        self.machine_seconds += took
        moment = self.main.take(self.now, cost + took)
        for command in commands:
            moment = self._obey(command, moment)
        self._at(moment, self._next)

    def _next(self) -> None:
        if self._inbox:
            self._step()
        else:
            self._main_idle = True

    def _obey(self, command: ev.Command, moment: float) -> float:
        costs = self.costs
        match command:
            case ev.NeedWorker(child):
                self._at(moment + costs.begin, lambda: self._begin(child))
            case ev.Send(child, m.Work() as work):
                size = (work.stop - work.start) * costs.row_out
                moment = self.main.take(moment, self._pieces(size))
                there = self.uplink.take(moment, size / costs.link_bytes) + costs.latency
                self._at(there, lambda: self._work(child, work))
            case ev.Send(_, m.Credit(chunks, rows)):
                moment = self.main.take(moment, costs.near_frame)
                for _ in range(chunks):
                    self._chunk(moment, rows)
            case ev.Send(_, m.Write(no)):
                rows = self.machine.pipeline.micro_batches[no].rows
                moment = self.main.take(moment, costs.near_frame + rows * costs.near_row)
                done = self.sinks.take(moment, rows * costs.sink_row)
                self._near(done, ev.MicroBatchWritten(m.Written(no, {}, {}), None))
            case ev.Send(_, m.Flush(no)):
                done = self.sinks.take(self.main.take(moment, costs.near_frame), costs.flush)
                self._near(done, ev.SinksFlushed(no, {"out": {}}))
            case ev.Send(_, m.MicroBatchRecords(no)):
                rows = self.machine.pipeline.micro_batches[no].rows
                moment = self.main.take(moment, costs.near_frame + rows * costs.near_row)
                self.audit.take(moment, rows * costs.audit_row)
            case ev.Send(child, m.Commit(checkpoint)) if child == AUDIT:
                moment = self.main.take(moment, costs.near_frame)
                done = self.audit.take(moment, costs.commit)
                self._near(done, ev.CommitDurable(checkpoint.micro_batch))
            case ev.Send():
                moment = self.main.take(moment, costs.near_frame)
        return moment

    def _near(self, moment: float, event: ev.Event) -> None:
        self._at(moment, lambda: self._hear(event, self.costs.near_frame))

    def _pieces(self, size: int) -> float:
        return math.ceil(max(1, size) / self.costs.piece_bytes) * self.costs.far_piece

    # -- the others --------------------------------------------------------------------------------------------

    def _begin(self, child: str) -> None:
        self.workers[child] = Work()
        self._hear(ev.Restored(child), self.costs.far_piece)

    def _work(self, child: str, work: m.Work) -> None:
        rows = work.stop - work.start
        seconds = rows * self.row_seconds
        self._at(self.workers[child].server.take(self.now, seconds), lambda: self._decided(child, work, seconds))

    def _decided(self, child: str, work: m.Work, seconds: float) -> None:
        size = (work.stop - work.start) * self.costs.row_back
        done = ev.SliceDone(child, m.SliceDecided(work.seq, work.start, work.stop, seconds, {}), None, None)
        self.slices += 1
        here = self.downlink.take(self.now, size / self.costs.link_bytes) + self.costs.latency
        self._at(here, lambda: self._hear(done, self._pieces(size)))

    def _chunk(self, moment: float, rows: int) -> None:
        chunk = m.Chunk(self.seq, self.read, rows, "in", (m.SplitPoint(rows, self.read + rows, None),), None)
        self.read, self.seq = self.read + rows, self.seq + 1
        cost = self.costs.near_frame + rows * self.costs.near_row
        event = ev.ChunkArrived(chunk, None, rows * self.costs.row_out)
        self._at(self.source.take(moment, rows * self.costs.source_row), lambda: self._hear(event, cost))


def table(nodes: tuple[int, ...] = (1, 10, 100), each: int = 16) -> list[str]:
    """A line for each number of nodes and each time of a row."""
    lines = [
        "| nodes | workers | a row | rows/s | ideal | share | main process busy | audit busy | its own time a slice |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for count in nodes:
        for milliseconds in (2, 20, 200):
            found = ClusterRun(count * each, milliseconds / 1000).run(40.0 + 0.04 * count * each)
            lines.append(
                f"| {count} | {count * each:,} | {milliseconds} ms | {found.rows_a_second:,.0f} | {found.ideal:,.0f} | "
                f"{found.share:.0%} | {found.main_busy:.0%} | {found.audit_busy:.0%} | "
                f"{found.machine_seconds * 1000:.2f} ms |"
            )
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join([*table(), ""]))
