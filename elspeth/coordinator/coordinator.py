"""the coordinator: the Pykka actor of the main process that carries out what the coordinator's machine decides.

It turns frames and lives of children into events, and commands into frames, starts and restarts. Everything it does
to the tree goes on record through the audit role.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

import pykka
from msgspec import structs

from actors.crash_points import crash_point
from actors.events import ChildDown, ChildUp, FrameReceived, GaveUp, Tick
from actors.reactor import Outbox
from actors.spec import ChildSpec
from elspeth.coordinator import events as ev
from elspeth.coordinator import exit_reasons
from elspeth.coordinator import protocol as m
from elspeth.coordinator.event_outbox import EventOutbox
from elspeth.coordinator.evidence import Evidence
from elspeth.coordinator.machine import Machine
from elspeth.coordinator.names import AUDIT, SOURCE
from elspeth.coordinator.progress import Progress
from elspeth.coordinator.topology import AttemptOutcome, Topology
from elspeth.errors import ElspethError, Interrupted, TakenOver, Temporary, from_value

TICK_SECONDS = 0.1
HEARTBEAT_TICKS = 50
GIVE_WAY_SHARE, END_SHARE = 0.45, 0.2
"""Of the time that stopping may take: what rows in hand get before they are left to the resume, and what audit gets to
write the last word. The rest is for the children to end."""
LEFTOVER_SECONDS = 2.0


class Coordinator(pykka.ThreadingActor):
    """Drives one attempt. When `outcome` is done, the tree is ready to be shut down."""

    use_daemon_thread = True

    def __init__(self, topology: Topology, progress: Progress, outcome: AttemptOutcome) -> None:
        super().__init__()
        self._topology = topology
        self._progress = progress
        self._machine: Machine | None = None
        self._supervisor: Any = None
        self._outbox: Outbox | None = None
        self._event_outbox = EventOutbox(topology.concealment)
        self._audit_owns = False
        self._recycled: set[str] = set()
        self._workers = 0
        self._ticks = 0
        self._last_commit = time.monotonic()
        self._begun = time.monotonic()
        self._active_before = 0.0
        self._due: dict[int, float] = {}
        self._signal: Interrupted | None = None
        self._give_way_at = 0.0
        self._ending: ElspethError | None = None
        self._last_word: m.EndAttempt | None = None
        self._end_at: float | None = None
        self._closed = False
        self._outcome = outcome

    # -- for the owner -----------------------------------------------------------------------------------------

    def begin(self, supervisor: Any, outbox: Outbox) -> None:
        """Start the attempt: audit first; everybody else once it owns the run."""
        self._supervisor, self._outbox = supervisor, outbox
        self._start(self._topology.audit)

    def stop_run(self, reason: Interrupted) -> None:
        """Give way in order; a second call gives up what is in hand."""
        if self._signal is not None:
            self._finish(reason)
            return
        self._signal = reason
        self._give_way_at = time.monotonic() + GIVE_WAY_SHARE * self._topology.stop_seconds
        self._record("run", "stopping", detail={"reason": reason.message})
        self._step(ev.Stop())

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
        self._closed = True
        self._outcome.error = ElspethError(f"internal error: {exception_value!r}")
        self._outcome.error.__cause__ = exception_value
        self._outcome.done.set()

    # -- lives -------------------------------------------------------------------------------------------------

    def _up(self, event: ChildUp) -> None:
        what = "started" if event.incarnation == 1 else "restarted"
        self._record(event.name, what, pid=event.identity.pid, detail=asdict(event.identity))
        if event.incarnation > 1:
            self._progress.restarts += 1
        if self._machine is not None and event.name != AUDIT:
            self._step(ev.Started(event.name))

    def _down(self, event: ChildDown) -> None:
        detail = {"reason": event.reason, "exit_code": event.exit_code, "signal": event.signal}
        if event.position >= 0 and event.name != SOURCE:
            detail |= {"position": event.position}
        if self._closed:
            return
        if event.name == AUDIT:
            self._audit_owns = False
        self._record(event.name, "exited", pid=event.identity.pid, detail=detail)
        if event.name in self._recycled:
            self._recycled.discard(event.name)
            self._restart(event.name, False)
            return
        if self._ending is not None:
            if event.name == AUDIT:
                self._close()
            return
        words = exit_reasons.describe(event, self._topology.hang_seconds)
        self._progress.notify(f"{event.name} (pid {event.identity.pid}) died: {words}")
        if self._machine is None:
            self._restart(event.name, True)
            return
        evidence = Evidence(reason=words, detail=event.detail, signal=event.signal, exit_code=event.exit_code)
        position = -1 if event.name == SOURCE else event.position
        self._step(ev.Died(event.name, position, event.detail, evidence))

    def _gave_up(self, name: str, reason: str, exits: list[ChildDown]) -> None:
        lines = exit_reasons.last_exits(exits, self._topology.hang_seconds)
        self._record(name, "gave_up", detail={"reason": reason, "exits": lines})
        self._fail(
            ElspethError(f"restart intensity exceeded: {reason}", details=[*lines, *exit_reasons.last_words(exits)]),
            audit=True,
        )
        if name == AUDIT and self._last_word is not None:
            self._end_at = time.monotonic() + self._topology.stop_seconds
            self._start(self._topology.audit)  # once more, for the last word only

    # -- frames ------------------------------------------------------------------------------------------------

    def _frame(self, name: str, message: Any, parts: list[memoryview]) -> None:
        if self._closed:
            return
        match message:
            case m.SliceDecided():
                self._step(ev.SliceDone(name, message, parts[1], parts[2]))
            case m.Chunk():
                self._progress.read(message)
                self._step(ev.ChunkArrived(message, parts[1], len(parts[1])))
            case m.Written():
                self._step(ev.MicroBatchWritten(message, parts[1]))
            case m.Flushed():
                self._step(ev.SinksFlushed(message.no, message.positions))
            case m.StageDone():
                self._stage_due(message)
                self._step(ev.StagePassed(name, message, parts[1], parts[2]))
            case m.StageState():
                self._step(ev.StateAnswered(message.no, message.stage, message.state))
            case m.Durable():
                crash_point("main.before_durable")
                self._last_commit = time.monotonic()
                self._event_outbox.committed(message.no)
                self._step(ev.CommitDurable(message.no))
                crash_point("main.after_durable")
            case m.Noted():
                self._event_outbox.noted(message.token)
                self._step(ev.BlameNoted(message.token))
            case m.Owned():
                self._owned(message)
            case m.Ready():
                self._step(ev.Restored(name))
            case m.SinksReady():
                self._tell_cuts(name, message.cuts)
                self._step(ev.Restored(name))
            case m.StageReady():
                self._stage_due(message)
                self._step(ev.Restored(name))
            case m.Failed():
                self._fail(from_value(message.error), audit=name != AUDIT)
            case m.AttemptEnded():
                self._close()

    def _owned(self, message: m.Owned) -> None:
        self._audit_owns = True
        if self._machine is not None:
            for events in self._event_outbox.unsaved():
                self._send_events(events)
            if self._last_word is not None and self._outbox is not None:
                self._outbox.send(AUDIT, m.encode(self._last_word))
            self._step(ev.AuditOwns(message.checkpoint.micro_batch))
            return
        crash_point("main.after_owned")
        topology = self._topology
        self._progress.owned(message)
        self._active_before, self._begun = message.checkpoint.active_seconds, time.monotonic()
        self._machine = Machine(
            topology.policy, topology.stateful, message.checkpoint,
            suspects=dict(message.suspects),
            cautious_rows=topology.policy.window_rows() if topology.cautious else 0,  # more cannot have been in flight
        )  # fmt: skip
        for events in self._event_outbox.unsaved():
            self._send_events(events)
        self._record("run", "inspected", detail={"sizes": topology.sizes})
        if topology.takes_over is not None:
            self._record("run", "took_over", pid=topology.takes_over.get("pid"), detail=topology.takes_over)
        if topology.cautious:
            self._progress.notify(
                "two attempts died at the same place: rows go one at a time now, to find the one to blame"
            )
        self._bury_leftovers()
        if self._signal is not None:
            self._finish(self._signal)
            return
        for spec in (topology.sinks, *topology.stages.values()):
            self._start(spec)
        self._new_worker()
        self._start(topology.source)
        crash_point("main.after_cast")

    def _bury_leftovers(self) -> None:
        """Processes of an earlier attempt that outlived it: they could still hold an output open."""
        killed = [identity for identity in self._topology.leftovers if identity.kill()]
        for identity in killed:
            self._record("run", "killed_leftover", pid=identity.pid, detail={"signal": "SIGKILL"})
            self._progress.notify(f"killed process {identity.pid}, left over from an earlier attempt")
        deadline = time.monotonic() + LEFTOVER_SECONDS
        while any(identity.state() != "gone" for identity in killed) and time.monotonic() < deadline:
            time.sleep(0.01)  # their locks end with them

    def _tell_cuts(self, name: str, cuts: Sequence[m.TailCut]) -> None:
        for cut in cuts:
            self._record(name, "cut", detail=structs.asdict(cut))
            self._progress.notify(
                f"cut {cut.size_bytes} bytes off {cut.path} behind the last commit; a copy is in {cut.copy}"
            )

    def _stage_due(self, message: m.StageDone | m.StageReady) -> None:
        self._due.pop(message.stage, None)
        if message.due is not None:
            self._due[message.stage] = message.due

    # -- the machine -------------------------------------------------------------------------------------------

    def _step(self, event: ev.Event) -> None:
        machine = self._machine
        if machine is None or self._ending is not None or self._closed:
            return
        machine.active_seconds = self._active_seconds()
        for command in machine.step(event):
            self._do(command)
        self._progress.update(machine)

    def _active_seconds(self) -> float:
        return round(self._active_before + time.monotonic() - self._begun, 3)

    def _do(self, command: ev.Command) -> None:
        match command:
            case ev.Send(child, message, bodies):
                assert self._outbox is not None
                if isinstance(message, m.Commit):
                    self._event_outbox.sent_with(message.checkpoint.micro_batch)
                self._outbox.send(child, m.encode(message), *(body for body in bodies if body is not None))
            case ev.NeedWorker():
                self._new_worker()
            case ev.Restart(child, counted):
                self._restart(child, counted)
            case ev.Recycle(child):
                self._recycled.add(child)
                self._supervisor.stop_child(child).get()
            case ev.Suspect(token, row_index, deaths, evidence):
                detail = {"row_index": row_index, "deaths": deaths, **evidence.facts()}
                if evidence.of_this_attempt or not self._topology.cautious:
                    self._progress.notify(f"row {row_index} is suspected ({evidence.reason}); it goes alone now")
                self._send_events(self._event_outbox.add("workers", "suspect", detail=detail, token=token))
            case ev.Convicted(row_index, conviction):
                self._progress.poisoned += 1
                self._record("workers", "quarantined", detail={"row_index": row_index, **conviction.facts()})
            case ev.Finished(complete):
                self._finished(complete)

    def _new_worker(self) -> None:
        self._workers += 1
        self._start(self._topology.worker(self._workers))

    def _start(self, spec: ChildSpec) -> None:
        try:
            self._supervisor.start_child(spec).get()
        except OSError as error:
            self._fail(exit_reasons.not_started(spec.name, error), audit=spec.name != AUDIT)

    def _restart(self, child: str, counted: bool) -> None:
        try:
            self._supervisor.restart_child(child, counted).get()
        except OSError as error:
            self._fail(exit_reasons.not_started(child, error), audit=child != AUDIT)

    def _record(self, child: str, event: str, *, pid: int | None = None, detail: m.JsonObject | None = None) -> None:
        events = self._event_outbox.add(child, event, pid=pid, detail=detail)
        if self._machine is not None:
            self._send_events(events)

    def _send_events(self, message: m.RecordEvent) -> None:
        """Send an event, unless audit has yet to say what it has: then it is sent with all that may be lost, once."""
        if not self._audit_owns:
            return
        assert self._outbox is not None
        self._outbox.send(AUDIT, m.encode(message))

    # -- time --------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticks += 1
        now = time.monotonic()
        if self._end_at is not None and now > self._end_at:
            self._close()
        if self._closed or self._ending is not None:
            return
        if self._signal is not None and now > self._give_way_at:
            self._finish(self._signal)
            return
        if self._machine is None:
            return
        assert self._outbox is not None
        if self._ticks % HEARTBEAT_TICKS == 0:
            self._outbox.send(AUDIT, m.encode(m.Heartbeat(self._ticks // HEARTBEAT_TICKS)))
        if now - self._last_commit > self._topology.max_seconds:
            if self._due and not self._machine.released():
                self._step(ev.TimeoutDue())  # nothing fires yet, but the age of what waits is to survive this process
            if self._machine.released():
                self._last_commit = now
                self._step(ev.CommitDue())
        if any(self._active_seconds() >= due for due in self._due.values()):
            self._due.clear()
            self._step(ev.TimeoutDue())

    # -- the end -----------------------------------------------------------------------------------------------

    def _finished(self, complete: bool) -> None:
        if complete:
            self._close()
        elif self._signal is not None:
            self._finish(self._signal)

    def _finish(self, reason: Interrupted) -> None:
        """Give way now: what is committed is committed."""
        self._end(reason, m.EndAttempt("interrupted", reason.message))

    def _fail(self, error: ElspethError, *, audit: bool) -> None:
        """Something that no restart cures. The run stays resumable."""
        if self._closed or (self._ending is not None and not isinstance(error, TakenOver)):
            return
        if isinstance(error, TakenOver) or not audit:
            self._ending = error
            self._close()
        else:
            status: Literal["interrupted", "failed"] = "interrupted" if isinstance(error, Temporary) else "failed"
            self._end(error, m.EndAttempt(status, error.message, failure=error.message))

    def _end(self, error: ElspethError, last_word: m.EndAttempt) -> None:
        if self._ending is not None or self._closed:
            return
        self._ending = error
        self._end_at = time.monotonic() + END_SHARE * self._topology.stop_seconds
        if self._machine is None or self._outbox is None:
            self._close()
            return
        self._last_word = last_word
        self._outbox.send(AUDIT, m.encode(self._last_word))

    def _close(self) -> None:
        if self._closed:
            return
        self._closed = True
        self._outcome.error = self._ending
        self._outcome.done.set()
