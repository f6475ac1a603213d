"""The coordinator: the Pykka actor of the main process that carries out what the coordinator's machine decides.

It turns frames and lives of children into events, and commands into frames, starts and restarts. Everything it does
to the tree goes on record through the audit role.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

import pykka

from actors.child import EXIT_SOFTWARE
from actors.crash_points import crash_point
from actors.events import ChildDown, ChildUp, FrameReceived, GaveUp, Tick
from actors.reactor import Outbox
from elspeth.canonical import JsonObject
from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.audit_link import AuditLink
from elspeth.coordinator.attempt.beginning import record_beginning, record_cuts
from elspeth.coordinator.attempt.children import Children
from elspeth.coordinator.attempt.lookout import Lookout
from elspeth.coordinator.attempt.shutdown import Phase, Shutdown, stopping
from elspeth.coordinator.attempt.timers import Timers
from elspeth.coordinator.attempt.topology import AttemptOutcome, Topology
from elspeth.coordinator.elsewhere.far_workers import Absent, FarWorkers, refused
from elspeth.coordinator.leases import Leases
from elspeth.coordinator.machine.machine import Machine
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE, worker_name
from elspeth.coordinator.reporting import exit_reasons
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.reporting.standstill import EVENT as STANDSTILL
from elspeth.coordinator.reporting.standstill import Held
from elspeth.coordinator.suspicion.single_rows import SingleRows
from elspeth.errors import ElspethError, Interrupted, RunInProgress, Temporary, from_value
from elspeth.refusals import refusal

TICK_SECONDS = 0.1


class Coordinator(pykka.ThreadingActor):
    """Drives one attempt. When `outcome` is done, the tree is ready to be shut down."""

    use_daemon_thread = True

    def __init__(self, topology: Topology, progress: Progress, outcome: AttemptOutcome) -> None:
        super().__init__()
        self._topology = topology
        self._progress = progress
        self._machine: Machine | None = None
        self._outbox: Outbox | None = None
        self._audit = AuditLink(topology.concealment, topology.observer)
        self._timers = Timers(topology.max_seconds, time.monotonic())
        self._single_rows = SingleRows(topology.caution.rows)
        self._shutdown = Shutdown(topology.stop_seconds)
        self._children = Children(topology.worker, self._not_started)
        self._far = FarWorkers(topology.far, topology.policy.here, progress.notify, time.monotonic())
        self._lookout = Lookout(topology, progress, self._children, self._note_standstill, time.monotonic())
        self._for_memory: list[ChildDown] = []
        self._outcome = outcome
        self._has_outputs = topology.takes_over is not None

    # -- for the owner -----------------------------------------------------------------------------------------

    def begin(self, supervisor: Any, outbox: Outbox) -> None:
        """Start the attempt: audit first; everybody else once it owns the run."""
        self._outbox = outbox
        self._children.connect(supervisor)
        self._audit.connect(outbox)
        self._children.start(self._topology.audit)

    def stop_run(self, reason: Interrupted) -> None:
        """Give way in order; a second call gives up what is in hand."""
        phase = self._shutdown.signalled(reason, time.monotonic())
        if phase == Phase.DRAINING:
            self._audit.record("run", "stopping", detail={"reason": reason.message})
            self._progress.notify(stopping(self._topology.stop_seconds))
            self._step(ev.StopRequested())
        self._entered(phase)

    # -- Pykka -------------------------------------------------------------------------------------------------

    def on_receive(self, message: Any) -> Any:
        match message:
            case FrameReceived(name, _, parts):
                self._frame(name, m.decode(parts[0]), parts)
            case ChildUp():
                self._up(message)
            case ChildDown():
                self._down(message)
            case GaveUp(name, reason, exits):
                self._gave_up(name, reason, exits)
            case Tick():
                self._tick()
            case _:
                return super().on_receive(message)
        return None

    def on_failure(self, exception_type: Any, exception_value: Any, traceback: Any) -> None:
        """A mistake in here ends the attempt; the run stays resumable."""
        error = refusal(exception_value) or ElspethError(f"internal error: {exception_value!r}")
        error.__cause__ = exception_value
        self._shutdown.broken(error)
        self._close()

    # -- lives -------------------------------------------------------------------------------------------------

    def _up(self, event: ChildUp) -> None:
        what = "started" if event.incarnation == 1 else "restarted"
        node = {"node": event.where} if event.where else {}
        self._audit.record(event.name, what, pid=event.identity.pid, detail=asdict(event.identity) | node)
        if event.incarnation > 1:
            self._progress.restarts += 1
        if self._machine is not None and event.name != AUDIT:
            self._step(ev.Started(event.name))

    def _down(self, event: ChildDown) -> None:
        if self._shutdown.phase == Phase.CLOSED:
            self._ended_badly(event)
            return
        if event.name == AUDIT:
            self._audit.lost()
        self._audit.record(event.name, "exited", pid=event.identity.pid or None, detail=exit_reasons.detail(event))
        if self._children.replaced(event.name):
            self._far.asked(event.name, time.monotonic())
            return
        if self._shutdown.ending:
            if event.name == AUDIT:
                self._entered(self._shutdown.audit_gone())
            return
        suspicion = exit_reasons.suspicion(event, self._topology.limits)
        lost = event.reason == "place"
        self._progress.notify(f"{exit_reasons.named(event)} {'was' if lost else 'died:'} {suspicion.reason}")
        if self._machine is None:
            self._children.restart(event.name, counted=True)
            return
        now = time.monotonic()
        self._obey(self._leases.gone(event.name, now))
        if event.refused:
            self._fail(refused(exit_reasons.named(event), event.lost))
            return
        if lost:
            self._far.lost(event.name, suspicion.reason, now)
            if (error := self._far.unreachable(self._topology.run_id)) is not None:
                self._fail(error)
                return
        else:
            self._far.went(event.name, now)
        if suspicion.memory:
            self._for_memory = [*self._for_memory[-2:], event]
        position = -1 if event.name == SOURCE else event.position
        self._step(ev.Died(event.name, position, event.detail, suspicion, event.fork_server, lost))

    def _ended_badly(self, event: ChildDown) -> None:
        """What a child did last, when all seemed done, failed: that is not a run that went well."""
        if event.exit_code == EXIT_SOFTWARE and self._outcome.error is None:
            self._outcome.error = ElspethError(
                f"{event.name} (pid {event.identity.pid}) ended with an exception when its work was done",
                details=exit_reasons.last_words([event]),
                next_step="elspeth doctor",
            )

    def _gave_up(self, name: str, reason: str, exits: list[ChildDown]) -> None:
        limits = self._topology.limits
        lines = exit_reasons.last_exits(exits, limits)
        self._audit.record(name, "gave_up", detail={"reason": reason, "exits": lines})
        self._fail(exit_reasons.gave_up(reason, exits, limits))
        if name == AUDIT and self._shutdown.phase == Phase.CLOSING:
            self._shutdown.audit_began_again(time.monotonic())
            topology = self._topology  # once more, for the last word only
            self._children.start(topology.audit if self._machine is None else topology.audit_successor)

    # -- frames ------------------------------------------------------------------------------------------------

    def _frame(self, name: str, message: Any, parts: list[memoryview]) -> None:
        if self._shutdown.phase == Phase.CLOSED:
            return
        match message:
            case m.SliceDecided():
                self._step(ev.SliceDone(name, message, parts[1], parts[2]))
            case m.Chunk():
                self._progress.read(message)
                for row, file in message.files:
                    self._audit.record(name, "file", detail={"source": message.source, "row": row, "file": file})
                self._step(ev.ChunkArrived(message, parts[1], len(parts[1])))
            case m.Written():
                self._topology.marking.passed(len(self._topology.stateful), message.no)
                self._step(ev.MicroBatchWritten(message, parts[1]))
            case m.Flushed():
                self._step(ev.SinksFlushed(message.no, message.positions))
            case m.StageDone():
                self._topology.marking.passed(message.stage, message.no)
                self._timers.stage_due(message.stage, message.due)
                self._step(ev.StagePassed(name, message, parts[1], tuple(parts[2:])))
            case m.StageState():
                self._step(ev.StateAnswered(message.no, message.stage, message.state))
            case m.Durable():
                crash_point("main.before_durable")
                self._timers.committed(time.monotonic())
                self._audit.committed(message.no)
                self._step(ev.CommitDurable(message.no))
                crash_point("main.after_durable")
            case m.Noted():
                self._audit.noted(message.token)
                self._step(ev.BlameNoted(message.token))
            case m.Owned():
                self._owned(message)
            case m.Ready():
                self._far.came(name, time.monotonic())
                self._step(ev.Restored(name))
            case m.SinksReady():
                self._has_outputs = True
                record_cuts(name, message.cuts, self._audit, self._progress)
                self._step(ev.Restored(name))
            case m.StageReady():
                self._timers.stage_due(message.stage, message.due)
                self._step(ev.Restored(name))
            case m.Failed():
                error = from_value(message.error)
                if self._refused(name, error):
                    self._progress.started = False
                    self._entered(self._shutdown.failed(error, time.monotonic(), refused=True))
                    return
                self._fail(error, audit_failed=name == AUDIT)
            case m.LeaseAsked() if not self._shutdown.ending:
                self._obey(self._leases.asked(name, message, time.monotonic()))
            case m.LeaseEnded():
                self._obey(self._leases.ended(name, message, time.monotonic()))
            case m.AttemptEnded():
                self._entered(self._shutdown.last_word_written())

    def _owned(self, message: m.Owned) -> None:
        self._audit.owned()
        if self._machine is not None:
            if self._shutdown.last_word is not None:
                self._audit.end(self._shutdown.last_word)
            if message.checkpoint.micro_batch < self._machine.durable.micro_batch:
                self._fail(
                    exit_reasons.less_than_committed(message.checkpoint, self._machine.durable), audit_failed=True
                )
                return
            self._step(ev.AuditOwns(message.checkpoint.micro_batch))
            return
        crash_point("main.after_owned")
        topology = self._topology
        self._children.succeed(topology.audit_successor)
        self._progress.owned(message)
        self._timers.owned(message.checkpoint.active_seconds, time.monotonic())
        self._machine = Machine(
            topology.policy, topology.stateful, message.checkpoint, suspects=dict(message.suspects),
            caution=topology.caution,
        )  # fmt: skip
        self._leases = Leases(
            topology.services,
            topology.run_id,
            message.checkpoint.call_totals or {},
            topology.left_behind(message.checkpoint.row_count),
            self._progress.notify,
            topology.observer,
        )
        record_beginning(topology, self._audit, self._progress)
        phase = self._shutdown.owned(time.monotonic())
        if phase is not None:
            self._entered(phase)
            return
        for spec in (topology.sinks, *topology.stages.values()):
            self._children.start(spec)
        if topology.policy.here:
            self._children.start_worker(worker_name(1))
        self._children.start(topology.source)
        crash_point("main.after_children")

    def _refused(self, name: str, error: ElspethError) -> bool:
        """Whether a new run was refused its outputs because somebody else writes them, before it had touched them."""
        return name == SINKS and isinstance(error, RunInProgress) and not self._has_outputs

    # -- the machine -------------------------------------------------------------------------------------------

    def _step(self, event: ev.Event) -> None:
        machine = self._machine
        if machine is None or self._shutdown.ending:
            return
        machine.active_seconds = self._timers.active_seconds(time.monotonic())
        self._obey(machine.step(event))
        self._progress.update(machine)

    def _obey(self, commands: Iterable[ev.Command]) -> None:
        for command in commands:
            self._do(command)

    def _do(self, command: ev.Command) -> None:
        match command:
            case ev.Send(child, message, bodies):
                assert self._outbox is not None
                if isinstance(message, m.Commit):
                    self._audit.commit_sent(message.checkpoint.micro_batch)
                self._outbox.send(child, m.encode(message), *(body for body in bodies if body is not None))
            case ev.NeedWorker(child):
                self._far.asked(child, time.monotonic())
                self._children.start_worker(child)
            case ev.Restart(child, counted):
                if not self._far.postponed(child):
                    self._far.asked(child, time.monotonic())
                    self._children.restart(child, counted)
            case ev.Recycle(child):
                self._children.recycle(child)
            case ev.Suspect(token, row_index, deaths, suspicion):
                detail = {"row_index": row_index, "deaths": deaths, **suspicion.facts()}
                if suspicion.of_this_attempt or not self._topology.caution.recorded:
                    self._progress.notify(f"row {row_index} is suspected ({suspicion.reason}); it goes alone now")
                self._audit.record_now("workers", "suspect", detail=detail, token=token)
            case ev.InHand(row_index):
                self._topology.marking.row(row_index)
            case ev.ManyInHand():
                self._topology.marking.many()
            case ev.GivenOut(row_end):
                self._topology.marking.given_out(row_end)
            case ev.Convicted(row_index, conviction):
                self._progress.poisoned += 1
                self._audit.record("workers", "quarantined", detail={"row_index": row_index, **conviction.facts()})
            case ev.OutOfMemory(rows):
                self._fail(exit_reasons.out_of_memory(self._for_memory, self._topology.limits, rows))
            case ev.Finished(complete):
                self._entered(self._shutdown.finished(time.monotonic(), complete=complete))

    def _not_started(self, child: str, error: Temporary) -> None:
        if self._far.has(child):
            self._far.lost(child, error.message, time.monotonic())
            return
        self._fail(error, audit_failed=child == AUDIT)

    # -- time --------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        now, timers, machine = time.monotonic(), self._timers, self._machine
        heartbeat = timers.tick()
        self._entered(self._shutdown.tick(now))
        if self._shutdown.ending or machine is None:
            return
        if heartbeat is not None:
            self._audit.heartbeat(heartbeat)
        if (line := self._single_rows.look(self._progress.rows_done - self._progress.rows_before, now)) is not None:
            self._progress.notify(line)
        if timers.commit_overdue(now):
            if timers.holding and not machine.released():
                self._step(ev.TimeoutDue())  # nothing fires yet, but the age of what waits is to survive this process
            if machine.released():
                timers.committed(now)
                self._step(ev.CommitDue())
        if timers.timeout_due(now):
            self._step(ev.TimeoutDue())
        if timers.settling_due:
            self._obey(machine.settle())
        self._obey(self._leases.move(now))
        self._look_far(now)
        if self._shutdown.phase == Phase.RUNNING:
            self._lookout.look(machine, lambda: self._held(now), now, due=timers.second_due)
        else:
            self._progress.waiting = ""

    def _look_far(self, now: float) -> None:
        """Workers elsewhere: who is asked for again, who finds no room, and whether that has gone on for too long."""
        for child in self._far.due(now):
            self._far.asked(child, now)
            self._children.restart(child, counted=False)
        if self._timers.second_due:
            for child in self._far.look(now):
                self._step(ev.NoRoom(child))
            if (error := self._far.outage(now, self._topology.run_id)) is not None:
                self._fail(error)

    def _held(self, now: float) -> list[Held | Absent]:
        """What rows wait for, but for those who have them in hand."""
        absent = self._far.absent(now)
        return [*self._leases.held(now), *([] if absent is None else [absent])]

    def _note_standstill(self, detail: JsonObject, token: int) -> None:
        self._audit.record_now("run", STANDSTILL, detail=detail, token=token)

    # -- the end -----------------------------------------------------------------------------------------------

    def _fail(self, error: ElspethError, *, audit_failed: bool = False) -> None:
        """Something that no restart cures. The run stays resumable."""
        self._entered(self._shutdown.failed(error, time.monotonic(), audit_failed=audit_failed))

    def _entered(self, phase: Phase | None) -> None:
        """What a phase of the shutdown begins with."""
        if phase == Phase.CLOSING and self._shutdown.last_word is not None:
            self._audit.end(self._shutdown.last_word)
        elif phase == Phase.CLOSED:
            self._close()

    def _close(self) -> None:
        self._outcome.error = self._shutdown.error
        self._outcome.done.set()
