"""The conductor's decisions as a pure state machine: events in, commands out; no clock, no I/O, no threads.

    chunk -> pieces --(workers)--> released units --(lanes: ordered stages, sinks)--> complete --(audit)--> durable

`Decide` (decide.py) holds what lies before the release, `Settle` (settle.py) what lies behind it. This module joins
them: it turns each event into a change of one of the two, then lets everything move that can.

The rules that the promises rest on:

- a result is released in the order of the input, once, and kept as released until it is durable;
- a commit of unit S is sent only after every lane has answered for S: output first, then the record that mentions it;
- while the outcome of a commit is unknown, no lane is restored;
- a restored consumer continues behind the last durable unit and is sent again what was kept; what it answers a second
  time is dropped.
"""

from __future__ import annotations

from elspeth.coordinator import events as ev
from elspeth.coordinator.commit_pipeline import Settle
from elspeth.coordinator.dispatcher import Decide
from elspeth.coordinator.in_flight import Unit
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.protocol import Value

AUDIT = "audit"
SOURCE = "source"
SINKS = "sinks"


def stage_name(stage: int) -> str:
    """The child that runs an ordered stage."""
    return f"stage-{stage}"


class Machine:
    """Flow control of one attempt.

    `stateful` says for each stage whether it is ordered; `checkpoint` is the message the attempt starts from.
    `suspects` maps a row index to the deaths it saw alone in earlier attempts; for the first `cautious_rows` rows every
    row goes alone and is recorded before it is touched.
    """

    def __init__(
        self,
        policy: Policy,
        stateful: tuple[bool, ...],
        checkpoint: Value,
        *,
        suspects: dict[int, int] | None = None,
        cautious_rows: int = 0,
    ) -> None:
        self.decide = Decide(policy, checkpoint, suspects or {}, cautious_rows)
        self.settle = Settle(policy, stateful, checkpoint)
        self.driven: float = checkpoint.get("driven", 0.0)
        self._out: list[ev.Command] = []
        self._stopping = False
        self._finished = False

    @property
    def durable(self) -> Value:
        """The checkpoint that was committed last."""
        return self.settle.durable

    def step(self, event: ev.Event) -> list[ev.Command]:
        """Take one event and say what is to be done about it."""
        if self._finished:
            return []
        self._out = []
        self._take(event)
        self._move()
        return self._out

    def _take(self, event: ev.Event) -> None:
        decide, settle = self.decide, self.settle
        match event:
            case ev.ChunkArrived():
                decide.arrived(event, stopping=self._stopping)
            case ev.PieceDone():
                decide.piece_done(event)
            case ev.StagePassed():
                decide.unit_done(event.child, event.done.no)
                settle.stage_passed(event)
            case ev.UnitWritten():
                settle.written(event)
            case ev.SinksFlushed():
                settle.flushed(event.no, event.positions)
            case ev.StateAnswered():
                settle.state_answered(event.no, event.stage, event.state)
            case ev.CommitDurable():
                settle.committed(event.no)
            case ev.AuditOwns():
                settle.audit_owns(event.no)
            case ev.BlameNoted():
                decide.noted(event.token)
            case ev.CommitDue():
                settle.commit_due = True
            case ev.TickDue():
                if not self._stopping:
                    settle.tick(self.driven)
            case ev.Stop():
                self._stopping = True
                decide.stop(at_mark=settle.marked)
            case ev.Started():
                self._started(event.child)
            case ev.Restored():
                self._restored(event.child)
            case ev.Died():
                self._died(event)

    def _started(self, child: str) -> None:
        if child == SOURCE:
            self._out.append(ev.Send(SOURCE, self.decide.read_from()))
        elif child in self.settle.lanes:
            self.settle.lane_started(child)

    def _restored(self, child: str) -> None:
        if child == SOURCE:
            self.decide.source_up = True
        elif child in self.settle.lanes:
            self.settle.lane_up(child)
        elif child != AUDIT:
            self.decide.worker_up(child)

    def _died(self, event: ev.Died) -> None:
        child = event.child
        if child == AUDIT:
            self.settle.audit_down()
            self._out.append(ev.Restart(child, counted=True))
        elif child == SOURCE:
            self.decide.source_down()
            self._out.append(ev.Restart(child, counted=True))
        elif child in self.settle.lanes:
            self._out.extend(self.settle.lane_died(event))
        else:
            self._out.extend(self.decide.worker_died(event))

    def _move(self) -> None:
        decide, settle = self.decide, self.settle
        while piece := decide.release():
            settle.release(piece, self.driven)
        stalled = decide.source_up and decide.starved(settle.rows_in_flight, settle.bytes_in_flight)
        settle.place_barrier(wanted=stalled or (self._stopping and not decide.pending))
        self._out.extend(settle.move())
        decide.queue_units(settle.units_for_workers())
        self._out.extend(decide.assign())
        if settle.complete or (self._stopping and not decide.pending and not settle.units):
            self._finished = True
            self._out.append(ev.Finished(settle.complete))
        elif not self._stopping:
            self._out.extend(decide.credit(settle.rows_in_flight, settle.bytes_in_flight))

    def released(self) -> list[Unit]:
        """The units that are released and not durable, in order; for tests and for the progress display."""
        return list(self.settle.units.values())
