"""How full a pool is: the machine and workers in virtual time, with rows that take as long as a model's answers do."""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

import pytest

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.machine.machine import Machine
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE
from elspeth.coordinator.policy import Policy, share

ROWS = 3_000
ANSWERS = 0.4  # seconds, the median


@dataclass
class Worker:
    """A worker with its share of the pool: rows are begun in the order in which they came."""

    width: int
    waiting: deque[tuple[m.Work, int]] = field(default_factory=deque)
    running: int = 0


class VirtualRun:
    """A run in which only rows take time; everything else happens at once."""

    def __init__(self, policy: Policy, spread: float) -> None:
        self.policy, self.spread = policy, spread
        self.machine = Machine(policy, (False,), start_checkpoint({"out": {}}))
        self.chance = random.Random(7)
        self.workers: dict[str, Worker] = {}
        self.left: dict[tuple[str, int, int], list[float]] = {}
        self.read = self.seq = 0
        self.ended = False
        self.now = self.full = 0.0
        self.most = 0
        self.ends: list[tuple[float, int, str, m.Work, float]] = []
        self.events: deque[ev.Event] = deque()

    def run(self) -> float:
        """How full the pool was, of 1, from the first row to the last."""
        for event in (ev.Started(SINKS), ev.Restored(SINKS), ev.Started(SOURCE), ev.Restored(SOURCE)):
            self.events.append(event)
        self.start_worker()
        self.settle()
        while self.ends:
            end, _, name, work, seconds = heapq.heappop(self.ends)
            running = sum(worker.running for worker in self.workers.values())
            self.most = max(self.most, running)
            self.full += running * (end - self.now)
            self.now = end
            self.end_row(name, work, seconds)
            self.settle()
        assert self.ended
        return self.full / (self.policy.pool_size * self.now)

    def start_worker(self) -> None:
        number = len(self.workers)
        name = f"worker-{number + 1}"
        self.workers[name] = Worker(share(self.policy.pool_size, number, self.policy.workers))
        self.events += [ev.Started(name), ev.Restored(name)]

    def settle(self) -> None:
        while self.events:
            for command in self.machine.step(self.events.popleft()):
                self.obey(command)

    def obey(self, command: ev.Command) -> None:
        match command:
            case ev.NeedWorker(name):
                assert name == f"worker-{len(self.workers) + 1}"
                self.start_worker()
            case ev.Finished(complete):
                self.ended = complete
            case ev.Send(child, m.Work() as work):
                self.left[child, work.seq, work.start] = [work.stop - work.start, 0.0]
                self.workers[child].waiting.extend((work, row) for row in range(work.start, work.stop))
                self.begin_rows(child)
            case ev.Send(_, m.Credit(chunks, rows)):
                for _ in range(chunks):
                    self.send_chunk(rows)
            case ev.Send(child, m.Write() as write) if child == SINKS:
                self.events.append(ev.MicroBatchWritten(m.Written(write.no, {}, {}), None))
            case ev.Send(child, m.Flush(no)) if child == SINKS:
                self.events.append(ev.SinksFlushed(no, {"out": {}}))
            case ev.Send(child, m.Commit(checkpoint)) if child == AUDIT:
                self.events.append(ev.CommitDurable(checkpoint.micro_batch))

    def send_chunk(self, limit: int) -> None:
        if self.read is None or self.seq < 0:
            return
        count = min(limit, ROWS - self.read)
        ended = count == 0
        chunk = m.Chunk(
            self.seq, self.read, count, "in", (m.SplitPoint(count, self.read + count, None),), None, ended, ended
        )
        self.events.append(ev.ChunkArrived(chunk, None, count))
        self.read += count
        self.seq = -1 if ended else self.seq + 1

    def begin_rows(self, name: str) -> None:
        worker = self.workers[name]
        while worker.waiting and worker.running < worker.width:
            work, row = worker.waiting.popleft()
            worker.running += 1
            seconds = ANSWERS * self.chance.lognormvariate(0, self.spread)
            heapq.heappush(self.ends, (self.now + seconds, work.seq * 1000 + row, name, work, seconds))

    def end_row(self, name: str, work: m.Work, seconds: float) -> None:
        worker = self.workers[name]
        worker.running -= 1
        slice_ = self.left[name, work.seq, work.start]
        slice_[0] -= 1
        slice_[1] += seconds
        if not slice_[0]:
            done = m.SliceDecided(work.seq, work.start, work.stop, slice_[1] / worker.width, {})
            self.events.append(ev.SliceDone(name, done, None, None))
        self.begin_rows(name)


@pytest.mark.parametrize("workers", [1, 2, 4])
@pytest.mark.parametrize("spread", [0.3, 0.5])
def test_a_pool_is_full_to_nine_tenths_and_never_fuller_than_it_may_be(workers: int, spread: float) -> None:
    run = VirtualRun(Policy(workers=workers, pool_size=50), spread)
    filled = run.run()
    assert run.most == 50
    assert filled >= 0.9


def test_rows_that_come_one_by_one_are_in_all_workers_at_once() -> None:
    run = VirtualRun(Policy("every_n", interval=100, workers=4, pool_size=300), 0.5)
    run.run()
    assert run.most == 300
