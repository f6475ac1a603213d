"""The coordinator's decisions as a pure state machine: events in, commands out; no clock, no I/O, no threads.

    chunk -> slices --(workers)--> micro-batches --(consumers: ordered stages, sinks)--> complete --(audit)--> durable

`Dispatcher` (dispatcher.py) holds what lies before the release, `CommitPipeline` (commit_pipeline.py) what lies
behind it. This module joins them: it turns each event into a change of one of the two, then lets everything move that
can.

The rules that the promises rest on:

- a result is released in the order of the input, once, and kept as released until it is durable;
- a commit of micro-batch S is sent only after every consumer has answered for S: output first, then the record that
  mentions it;
- while the outcome of a commit is unknown, no consumer is restored;
- a restored consumer continues behind the last durable micro-batch and is sent again what was kept; what it answers a
  second time is dropped.
"""

from __future__ import annotations

from elspeth.coordinator import events as ev
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.in_flight import MicroBatch
from elspeth.coordinator.machine.commit_pipeline import CommitPipeline
from elspeth.coordinator.machine.dispatcher import Dispatcher
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.protocol import Settled
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution


class Machine:
    """Flow control of one attempt.

    `stateful` says for each stage whether it is ordered; `checkpoint` is the message the attempt starts from.
    `suspects` maps a row index to the deaths it saw alone in earlier attempts; `caution` says whether rows go one at a
    time at first.
    """

    def __init__(
        self,
        policy: Policy,
        stateful: tuple[bool, ...],
        checkpoint: Checkpoint,
        *,
        suspects: dict[int, int] | None = None,
        caution: Caution = NO_CAUTION,
    ) -> None:
        self.dispatcher = Dispatcher(policy, checkpoint, suspects or {}, caution)
        self.pipeline = CommitPipeline(policy, stateful, checkpoint)
        self.active_seconds = checkpoint.active_seconds
        self._out: list[ev.Command] = []
        self._stopping = self._tick_due = False
        self._fallen = 0
        self._by_a_row = False
        self._finished = False
        self._settled: Settled | None = None

    @property
    def durable(self) -> Checkpoint:
        """The checkpoint that was committed last."""
        return self.pipeline.durable

    def step(self, event: ev.Event) -> list[ev.Command]:
        """Take one event and say what is to be done about it."""
        if self._finished:
            return []
        self._out = []
        self._take(event)
        self._move()
        return self._out

    def _take(self, event: ev.Event) -> None:
        dispatcher, pipeline = self.dispatcher, self.pipeline
        match event:
            case ev.ChunkArrived():
                dispatcher.arrived(event, stopping=self._stopping)
            case ev.SliceDone():
                dispatcher.slice_done(event)
            case ev.StagePassed():
                dispatcher.micro_batch_done(event.child, event.done.no)
                pipeline.stage_passed(event)
            case ev.MicroBatchWritten():
                pipeline.written(event)
            case ev.SinksFlushed():
                pipeline.flushed(event.no, event.positions)
            case ev.StateAnswered():
                pipeline.state_answered(event.no, event.stage, event.state)
            case ev.CommitDurable():
                pipeline.committed(event.no)
            case ev.AuditOwns():
                pipeline.audit_owns(event.no)
            case ev.BlameNoted():
                dispatcher.noted(event.token)
            case ev.CommitDue():
                pipeline.commit_due = True
            case ev.TimeoutDue():
                self._tick_due = not self._stopping
            case ev.StopRequested():
                self._stopping, self._tick_due = True, False
                dispatcher.stop(at_split_point=pipeline.at_split_point)
            case ev.Started():
                self._started(event.child)
            case ev.Restored():
                self._restored(event.child)
            case ev.NoRoom():
                self.dispatcher.no_room(event.child)
            case ev.Died():
                self._died(event)

    def _started(self, child: str) -> None:
        if child == SOURCE:
            self._out.append(ev.Send(SOURCE, self.dispatcher.read_from()))
        elif child in self.pipeline.consumers:
            self.pipeline.consumer_started(child)

    def _restored(self, child: str) -> None:
        if child == SOURCE:
            self.dispatcher.source_up = True
        elif child in self.pipeline.consumers:
            self.pipeline.consumer_up(child)
        elif child != AUDIT:
            self.dispatcher.worker_up(child)

    def _died(self, event: ev.Died) -> None:
        child = event.child
        if event.fork_server and event.fork_server != self._fallen:
            # The first that is heard of of those who died together: what the workers had then tells whose doing it was.
            self._fallen, self._by_a_row = event.fork_server, self.dispatcher.tries_one()
        counted = not (event.fork_server and self._by_a_row)
        if child == AUDIT:
            self.pipeline.audit_down()
            self._out.append(ev.Restart(child, counted))
        elif child == SOURCE:
            self.dispatcher.source_down()
            self._out.append(ev.Restart(child, counted))
        elif child in self.pipeline.consumers:
            self._out.extend(self.pipeline.consumer_died(event, counted=counted))
        else:
            self._out.extend(self.dispatcher.worker_died(event))

    def _move(self) -> None:
        dispatcher, pipeline = self.dispatcher, self.pipeline
        while chunk_slice := dispatcher.release():
            pipeline.release(chunk_slice, self.active_seconds)
        if pipeline.quiet:
            self._out.extend(dispatcher.put_down())
            if not self._tick_due:
                self._out.extend(dispatcher.ticked())
        if self._tick_due and (commands := dispatcher.tick(settled=pipeline.quiet)) is not None:
            self._out.extend(commands)
            self._tick_due = False
            pipeline.tick(self.active_seconds)
        stalled = dispatcher.source_up and dispatcher.starved(pipeline.rows_in_flight, pipeline.bytes_in_flight)
        if dispatcher.may_commit(due=pipeline.commit_due or self._stopping):
            pipeline.place_barrier(wanted=stalled or (self._stopping and not dispatcher.pending))
        self._out.extend(pipeline.move())
        dispatcher.queue_micro_batches(pipeline.micro_batches_for_workers())
        self._out.extend(dispatcher.assign(settled=pipeline.quiet and not pipeline.barriers))
        if pipeline.complete or (self._stopping and not dispatcher.pending and not pipeline.micro_batches):
            self._finished = True
            self._out.append(ev.Finished(pipeline.complete))
        elif not self._stopping:
            self._out.extend(
                dispatcher.credit(pipeline.rows_in_flight, pipeline.bytes_in_flight, settled=pipeline.quiet)
            )

    def settle(self) -> list[ev.Command]:
        """Tell whoever makes calls what is committed, if that is news: what they keep of it is of no more use."""
        settled = Settled(self.durable.row_count, self.durable.micro_batch)
        if not self.pipeline.calls or settled == self._settled:
            return []
        self._settled = settled
        stages = [name for name, consumer in self.pipeline.consumers.items() if consumer.up and name != SINKS]
        return [ev.Send(name, settled) for name in (*self.dispatcher.workers, *stages)]

    def released(self) -> list[MicroBatch]:
        """The micro-batches that are released and not durable, in order; for tests and for the progress display."""
        return list(self.pipeline.micro_batches.values())
