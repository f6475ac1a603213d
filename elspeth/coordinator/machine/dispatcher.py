"""The machine's first half: chunks become slices, workers decide them, results are released in order. Pure.

Whose doing a worker's death was is asked of the suspects (`elspeth.coordinator.suspicion`).
"""

from __future__ import annotations

from collections import deque

from elspeth.coordinator import events as ev
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition
from elspeth.coordinator.in_flight import ChunkSlice, MicroBatch, WorkerState
from elspeth.coordinator.machine.backlog import Backlog
from elspeth.coordinator.machine.crew import Crew
from elspeth.coordinator.names import SOURCE
from elspeth.coordinator.policy import ChunkSize, Policy
from elspeth.coordinator.protocol import Credit, ReadFrom, StageWork, Work
from elspeth.coordinator.suspicion.caution import Caution
from elspeth.coordinator.suspicion.one_at_a_time import OneAtATime
from elspeth.coordinator.suspicion.suspects import Suspects


class Dispatcher:
    """Slices, workers and credit."""

    def __init__(self, policy: Policy, checkpoint: Checkpoint, suspects: dict[int, int], caution: Caution) -> None:
        self._policy = policy
        self._backlog = Backlog()
        self._crew = Crew(policy)
        self._micro_batches: list[MicroBatch] = []
        self._suspects = Suspects(policy, suspects)
        self._single = OneAtATime(caution, checkpoint.row_count)
        self.chunk = ChunkSize(1 if caution.rows else policy.first_chunk(), policy.largest_chunk())
        self._sources = dict(checkpoint.source_positions)
        self._next_row = checkpoint.row_count
        self._next_seq = 0
        self._given_out = checkpoint.row_count
        self.ticking = False
        self._credits: deque[int] = deque()  # rows that each chunk still to come may have
        self.source_up = False
        self._input_closed = False
        self._stirred = True  # since it was last asked who can be given what

    @property
    def pending(self) -> list[ChunkSlice]:
        """What is read and not released."""
        return self._backlog.slices

    @property
    def workers(self) -> dict[str, WorkerState]:
        """The workers that are up."""
        return self._crew.up

    # -- source ------------------------------------------------------------------------------------------------

    def read_from(self) -> ReadFrom:
        """Where a source process continues: behind the last chunk received."""
        return ReadFrom(dict(self._sources), self._next_seq, self._next_row)

    def source_down(self) -> None:
        self.source_up = False
        self._credits.clear()

    def arrived(self, event: ev.ChunkArrived, *, stopping: bool) -> None:
        chunk = event.chunk
        if chunk.seq != self._next_seq:
            return  # sent by a predecessor that was replaced meanwhile
        self._next_seq += 1
        if self._credits and not chunk.ended:
            self._credits.popleft()
        self._next_row += chunk.rows
        last = chunk.split_points[-1]
        before = self._sources.get(chunk.source, SourcePosition())
        self._sources[chunk.source] = SourcePosition(
            last.cursor, last.proof, before.row_count + chunk.rows, chunk.ended, chunk.offset
        )
        self._input_closed |= chunk.last
        if stopping:
            return
        chunk_slice = ChunkSlice(
            chunk.seq, 0, chunk.rows, chunk.row_index, chunk.source, chunk.split_points, event.rows, event.size,
            offset=chunk.offset, ended=chunk.ended, last=chunk.last, done=not chunk.rows,
        )  # fmt: skip
        recorded_end = self._single.end if self._single.recorded else 0
        self._backlog.add(self._suspects.isolate_known(chunk_slice, recorded_end=recorded_end))
        self._stirred = True

    def starved(self, rows: int, size: int) -> bool:
        """Whether the window is full, so that only a commit can bring new rows."""
        return not self._input_closed and not self.pending and not self._credits and not self._room(rows, size)

    def _room(self, rows: int, size: int) -> bool:
        policy = self._policy
        promised = rows + self._backlog.count().rows + sum(self._credits)
        if self._single.recorded and self._one_at_a_time():
            return promised == 0  # whatever dies next, only the row in hand is under suspicion
        return promised + self._chunk_rows() <= policy.window_rows() and size < policy.window_bytes()

    def _chunk_rows(self) -> int:
        return self._single.chunk_rows(self.chunk.rows, self._next_row)

    def _one_at_a_time(self) -> bool:
        return self._single.goes_on(self._next_row, self.pending)

    def credit(self, rows: int, size: int, *, settled: bool) -> list[ev.Command]:
        """New credit for the source, as far as the window allows. `rows`, `size`: released and not durable.

        `settled` says that the sinks have all that was released: while a row is marked, the source does not read.
        """
        granted = 0
        if not self.source_up or self._input_closed:
            return []
        chunk_rows = self._chunk_rows()
        size += self._backlog.count().size
        if self._single.marked and self._one_at_a_time():
            if settled and not self.pending and not self._credits and self._room(rows, size):
                self._credits.append(chunk_rows)
                granted = 1
            return [ev.Send(SOURCE, Credit(granted, chunk_rows))] if granted else []
        slices = self._backlog.count().undecided + len(self._credits)
        coming = self._backlog.count().undecided_rows + sum(self._credits)
        while (
            slices < self._policy.window_slices() or coming + chunk_rows <= self._policy.window_undecided()
        ) and self._room(rows, size):
            self._credits.append(chunk_rows)
            granted, slices, coming = granted + 1, slices + 1, coming + chunk_rows
        return [ev.Send(SOURCE, Credit(granted, chunk_rows))] if granted else []

    def may_commit(self, *, due: bool) -> bool:
        """Whether a commit may be placed now; `due`: it has waited long enough."""
        return self._single.may_commit(self.pending, due=due)

    def put_down(self) -> list[ev.Command]:
        """The sinks have all that was released: what there is to say of the row that was in hand."""
        return self._single.put_down(self.workers.values())

    def tick(self, *, settled: bool) -> list[ev.Command] | None:
        """What there is to say before a time-out may fire; None where that has to wait.

        In a cautious attempt what it flushes is alone in hand: nothing is given out from now until it is through.
        """
        if self._single.over:
            self.ticking = True
        if self._single.row_in_hand or (self.ticking and not (settled and self._idle())):
            return None
        return self._single.tick()

    def ticked(self) -> list[ev.Command]:
        """What fired is through: rows are given out again."""
        if not self.ticking:
            return []
        self.ticking = False
        return self._single.ticked()

    def _idle(self) -> bool:
        return not any(worker.tasks for worker in self.workers.values())

    # -- release -----------------------------------------------------------------------------------------------

    def release(self) -> ChunkSlice | None:
        """The next decided slice in the order of the input, if it is there."""
        return self._backlog.release()

    def stop(self, *, at_split_point: bool) -> None:
        """Forget what nobody has begun, and what lies behind it; the last release is to lie at a split point.

        `at_split_point` says whether the release before the first slice does.
        """
        self._stirred = True
        self._backlog.changed()
        for at, chunk_slice in enumerate(self.pending):
            if at_split_point and not chunk_slice.done and chunk_slice.worker is None:
                self._forget(self.pending[at:])
                del self.pending[at:]
                return
            at_split_point = chunk_slice.split_point() is not None

    def _forget(self, slices: list[ChunkSlice]) -> None:
        for worker in self.workers.values():
            worker.tasks = [task for task in worker.tasks if task not in slices]

    # -- workers -----------------------------------------------------------------------------------------------

    def queue_micro_batches(self, micro_batches: list[MicroBatch]) -> None:
        """Released micro-batches that a stateless later stage is waiting for."""
        if micro_batches:
            self._stirred = True
            self._micro_batches.extend(micro_batches)
            self._micro_batches.sort(key=lambda micro_batch: micro_batch.no)

    def worker_up(self, name: str) -> None:
        self._crew.came(name)
        self._stirred = True

    def no_room(self, name: str) -> None:
        """The cluster has no room for this worker so far."""
        self._crew.no_room(name)
        self._stirred = True

    def micro_batch_done(self, child: str, no: int) -> None:
        worker = self.workers.get(child)
        if worker is not None:
            worker.tasks = [task for task in worker.tasks if not (isinstance(task, MicroBatch) and task.no == no)]
            self._stirred = True

    def slice_done(self, event: ev.SliceDone) -> None:
        """A worker decided a slice, or the first part of one."""
        done, worker = event.done, self.workers[event.worker]
        mine = (task for task in worker.tasks if isinstance(task, ChunkSlice))
        chunk_slice = next((task for task in mine if (task.seq, task.start) == (done.seq, done.start)), None)
        if chunk_slice is None:
            return  # forgotten when the run began to give way
        self._stirred = True
        if not self._single.recorded or not self._one_at_a_time():
            self.chunk.learn(done.stop - done.start, done.seconds, len(self.workers))
        at = worker.tasks.index(chunk_slice)
        chunk_slice, rest = self._backlog.decided(chunk_slice, done.stop)
        worker.tasks[at : at + 1] = [] if rest is None else [rest]
        chunk_slice.worker, chunk_slice.done = None, True
        if chunk_slice.exclusive:
            self._suspects.survived()
        chunk_slice.items, chunk_slice.records, chunk_slice.outcomes = event.items, event.records, done.outcomes
        chunk_slice.calls, chunk_slice.tally = done.calls, done.tally

    def tries_one(self) -> bool:
        """Whether a row has all workers to itself: what is shared dies of it, or of nothing here."""
        if not self._suspects.any_exclusive:
            return False
        return any(task.exclusive for worker in self.workers.values() for task in worker.tasks)

    def worker_died(self, event: ev.Died) -> list[ev.Command]:
        """A worker is gone: its tasks are to be given out again, and the row it was touching is the suspect.

        If its place was lost, no row did that.
        """
        self._stirred = True
        self._backlog.changed()
        worker = self._crew.went(event.child)
        blamed = False
        if worker is not None:
            for task in worker.tasks:
                task.worker = None
                task.again = True
            self.queue_micro_batches([task for task in worker.tasks if isinstance(task, MicroBatch)])
            if not worker.tasks or event.lost:
                pass
            elif self._policy.pool_size > 1:
                blamed = self._blame_pool(worker.tasks, event)
            else:  # it takes them in order: it was busy with the first
                blamed = self._blame(worker.tasks[0], event)
        counted = not blamed and not event.lost
        return [*self._suspects.take_commands(), ev.Restart(event.child, counted=counted)]

    def _blame(self, task: ChunkSlice | MicroBatch, event: ev.Died) -> bool:
        if isinstance(task, MicroBatch):
            return self._suspects.micro_batch_died(task, event)
        if parts := self._suspects.slice_died(task, event):
            self._backlog.replace(task, parts)
        return bool(parts)

    def _blame_pool(self, tasks: list[ChunkSlice | MicroBatch], event: ev.Died) -> bool:
        """A pool has rows of many tasks in hand: it names one only if that is all it has."""
        named = [task for task in tasks if isinstance(task, ChunkSlice) and event.position in task.row_range]
        if len(tasks) == 1 and tasks[0].alone:
            return self._blame(tasks[0], event)
        if named and not any(isinstance(task, MicroBatch) for task in tasks):
            return self._blame(named[0], event)
        if event.memory:
            return False
        for task in tasks:
            if isinstance(task, MicroBatch):
                task.alone, task.seen = task.seen, True
            elif parts := self._suspects.company_died(task):
                self._backlog.replace(task, parts)
        return True

    def at_work(self) -> set[str]:
        """The workers that have something to decide."""
        return {name for name, worker in self.workers.items() if worker.tasks}

    def noted(self, token: int) -> None:
        self._stirred = True
        self._backlog.changed()
        for chunk_slice in self.pending:
            if chunk_slice.blame == token:
                chunk_slice.blame = None

    # -- assignment --------------------------------------------------------------------------------------------

    def assign(self, *, settled: bool) -> list[ev.Command]:
        """Give out what can be given; ask for another worker when there is enough to do for one.

        `settled` says that the sinks have all that was released, and that no commit is under way.
        """
        if not self._stirred and not self._single.cautious and not self.ticking:
            return []  # nothing that could be given has come since, and nobody to give it to
        self._stirred = False
        more = not self._input_closed and not self._one_at_a_time()
        self._suspects.try_memory(self.pending, more_to_come=more)
        out = self._suspects.take_commands()
        if self.tries_one():
            return out
        if self._suspects.any_exclusive:
            self._backlog.changed()
        waiting: list[ChunkSlice | MicroBatch] = [*self._micro_batches, *self._backlog.waiting()]
        if self._single.marked and self._one_at_a_time():
            waiting = self._one_waiting(settled=settled)
        elif self.ticking:
            waiting = [*self._micro_batches]
        if exclusive := [task for task in waiting if task.exclusive]:
            return [*out, *self._give_everything(exclusive[0])]
        for task in [task for task in waiting if task.alone]:
            fresh = next((worker for worker in self.workers.values() if worker.fresh), None)
            if fresh is not None:
                waiting.remove(task)
                out.extend(self._give(fresh, task))
        suspects = sum(task.alone for task in waiting)
        if suspects > self._crew.coming:
            out.extend(self._crew.fresh())
            if suspects > self._crew.coming:
                return out  # let the workers run empty: the first that is idle makes room for a fresh one
        others = [task for task in waiting if not task.alone]
        for at, task in enumerate(others):
            worker = self._least_busy()
            if worker is None:
                return [*out, *self._more_workers(others[at:])]
            out.extend(self._give(worker, task))
        return out

    def _one_waiting(self, *, settled: bool) -> list[ChunkSlice | MicroBatch]:
        """What may be given out while rows are marked: one row, or the micro-batch that the row in hand has become."""
        if self._micro_batches or not settled or any(worker.tasks for worker in self.workers.values()):
            return [*self._micro_batches]
        following = self._single.next(self.pending)
        self._backlog.changed()
        return [] if following is None else [following]

    def _give_everything(self, task: ChunkSlice | MicroBatch) -> list[ev.Command]:
        """Let the others run empty; then this one goes alone, and nothing beside it."""
        if any(worker.tasks for worker in self.workers.values()):
            return []
        fresh = next((worker for worker in self.workers.values() if worker.fresh), None)
        if fresh is not None:
            return self._give(fresh, task)
        return [] if self._crew.coming else self._crew.fresh()

    def _least_busy(self) -> WorkerState | None:
        """Who gets the next task; fresh workers are kept for suspects whose blame is being noted."""
        ahead = 0 if self._policy.pool_size == 1 else 2 * self._policy.pool_share()
        kept = self._suspects.any and sum(
            chunk_slice.alone and chunk_slice.blame is not None for chunk_slice in self.pending
        )
        seconds, slow = self.chunk.rows * self.chunk.row_seconds, self.chunk.slow(len(self.workers))
        return self._crew.least_busy(ahead, seconds, kept, slow=slow)

    def _more_workers(self, waiting: list[ChunkSlice | MicroBatch]) -> list[ev.Command]:
        rows = sum(task.rows if isinstance(task, MicroBatch) else task.stop - task.start for task in waiting)
        return self._crew.more(rows, self.chunk.row_seconds)

    def _give(self, worker: WorkerState, task: ChunkSlice | MicroBatch) -> list[ev.Command]:
        worker.tasks.append(task)
        worker.fresh = False
        task.worker = worker.name
        if isinstance(task, MicroBatch):
            self._micro_batches.remove(task)
            message = StageWork(
                task.no, task.stage, task.active_seconds, task.tick, task.end, task.poison.get(task.stage, {}),
                task.alone, task.again,
            )  # fmt: skip
            return [ev.Send(worker.name, message, (task.inputs[task.stage],))]
        self._backlog.given()
        work = Work(task.seq, task.start, task.stop, task.poison, task.again)
        given_out: list[ev.Command] = []
        if task.row_range.stop > self._given_out:
            self._given_out = task.row_range.stop
            given_out.append(ev.GivenOut(self._given_out))
        return [*given_out, *self._single.take(task), ev.Send(worker.name, work, (task.rows,))]
