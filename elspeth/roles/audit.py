"""The audit role: the one process that writes to the audit database.

It collects the records of complete micro-batches in memory and inserts them at the commit, all in one transaction
with the checkpoint they belong to and the proof that this attempt still owns the run.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
from msgspec import structs

from actors.crash_points import crash_point
from elspeth import ids
from elspeth.audit.chain.records import Record, Records
from elspeth.audit.chain.signing import SIGNING_KEY
from elspeth.audit.export.journal import Journal
from elspeth.audit.fencing import require_not_taken_over, require_on_record
from elspeth.audit.store.commits.record_frames import RecordFrames, decode, references
from elspeth.audit.store.place import from_wire
from elspeth.audit.writer import AuditWriter
from elspeth.canonical import JsonObject
from elspeth.clock import utc_now
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition
from elspeth.errors import ElspethError, NoCheckpoint, SourceChanged, TakenOver
from elspeth.outputs import sink_states
from elspeth.payloads import PayloadStore
from elspeth.roles.plan import decode_audit_plan
from elspeth.roles.role import Role

AT_END = "end"
"""How the cursor of a file ends where its last line had no line end (see `plugins.sources.files`)."""


class AuditRole(Role):
    """Owns the run for this attempt: begins it, or proves after a restart that it has begun and is still the latest."""

    niceness = 0

    def begin(self) -> None:
        plan = self._plan = decode_audit_plan(self.argument)
        self._over = True
        os.chdir(plan.working_directory)
        database = from_wire(plan.database)
        require_not_taken_over(database, plan.run_id, plan.attempt)
        if plan.on_record or plan.run is None:
            require_on_record(database, plan.run_id, plan.attempt if plan.on_record else plan.attempt - 1)
        key = os.environ.get(SIGNING_KEY)
        self._writer = AuditWriter(database, signing_key=key.encode() if key else None, mode=plan.database_mode)
        self._over = False
        self._micro_batches: dict[int, list[RecordFrames]] = {}
        self._events: list[m.SupervisionEvent] = []
        self._payloads = PayloadStore(Path(plan.payload_base))
        checkpoint = self._own()
        self._journal = Journal(Path(plan.journal), plan.run_id) if plan.journal else None
        if self._journal is not None:
            self._writer.catch_up(self._journal)
        self._event_no = self._writer.last_event(plan.run_id, plan.attempt)
        crash_point("audit.before_owned")
        suspects = self._writer.suspects(plan.run_id, checkpoint.row_count)
        self.send(m.Owned(checkpoint, suspects))
        crash_point("audit.after_owned")

    def _own(self) -> Checkpoint:
        """One way for a fresh start, a resume and a restart: the latest checkpoint of an attempt that is ours."""
        plan, writer = self._plan, self._writer
        begins = plan.begins
        if not writer.has_begun(plan.run_id, plan.attempt, begins.pid, begins.process_start_ticks):
            crash_point("audit.before_begin")
            if plan.run is not None:
                records = dict(plan.records)
                if plan.checkpoint is not None and plan.checkpoints:
                    records["checkpoints"] = [self._checkpoint(plan.checkpoint)]
                writer.create_run(
                    plan.run.to_columns(), begins.to_columns(), records, supersedes=plan.supersedes, reason=plan.reason
                )
            else:
                writer.begin_attempt(plan.run_id, plan.attempt - 1, begins.to_columns(), plan.records)
            crash_point("audit.after_begin")
        writer.confirm(plan.run_id, plan.attempt)
        checkpoint = writer.latest_checkpoint(plan.run_id)
        if checkpoint is None:
            if plan.checkpoint is None:
                raise NoCheckpoint(f"No checkpoint available: run {plan.run_id} has none")
            return structs.replace(plan.checkpoint, micro_batch=writer.last_micro_batch(plan.run_id, plan.attempt))
        return checkpoint

    def _checkpoint(self, checkpoint: Checkpoint) -> Record:
        plan, rows = self._plan, checkpoint.row_count
        last = ids.row_id(plan.run_id, rows - 1) if rows else None
        return (
            ids.checkpoint_id(plan.run_id, checkpoint.micro_batch), plan.attempt, checkpoint.micro_batch, last, last,
            checkpoint.to_json(), utc_now(),
        )  # fmt: skip

    def fail(self, error: ElspethError) -> None:
        """Let go of the database, too: whoever drives the run now is to leave it as one file."""
        writer = getattr(self, "_writer", None)
        if isinstance(error, TakenOver) and writer is not None:
            writer.close()
        super().fail(error)

    def take(self, message: Any, bodies: list[memoryview]) -> None:
        if self._over:
            return
        match message:
            case m.MicroBatchRecords():
                crash_point("audit.before_record")
                self._micro_batches[message.no] = [decode(body) for body in bodies]
            case m.Commit():
                self._commit(message)
            case m.RecordEvent():
                if message.event.number > self._event_no:
                    self._events.append(message.event)
                if message.token is not None:
                    self._write({})
                    self.send(m.Noted(message.token))
            case m.Heartbeat():
                self._writer.heartbeat(self._plan.run_id, self._plan.attempt, message.number, utc_now())
            case m.EndAttempt():
                status: JsonObject = {"status": message.status, "end_reason": message.end_reason}
                if message.closed:
                    status["completed_at"] = utc_now()
                self._write({}, status if message.failure is None else {**status, "failure": message.failure})
                self._leave()
                self.send(m.AttemptEnded())

    def _commit(self, message: m.Commit) -> None:
        upto = message.checkpoint.micro_batch
        sent = [parts for no in sorted(self._micro_batches) if no <= upto for parts in self._micro_batches.pop(no)]
        self.port.beat()
        records: Records
        if self._plan.checkpoints:
            records = {"checkpoints": [self._checkpoint(message.checkpoint)]}
        else:
            records = {"supervision_events": [self._mark(upto)]}
        status: JsonObject | None = None
        if message.final:
            self._require_whole(message.checkpoint)
            status = {"status": "completed", "completed_at": utc_now(), "failure": None}
            records["artifacts"] = self._artifacts(message.checkpoint)
        self._payloads.sync_names(references(sent))
        self._write(records, status, sent)
        crash_point("audit.before_durable")
        self.send(m.Durable(upto))
        crash_point("audit.after_durable")
        if message.final:
            crash_point("audit.before_close")
            self._leave()
            crash_point("audit.after_close")

    def _require_whole(self, checkpoint: Checkpoint) -> None:
        """The last look at the inputs: one that goes on behind a line taken without its end was not read to its end.

        Then the run is not complete. What was not committed yet is left to a resume.
        """
        for source, read in checkpoint.source_positions.items():
            path = self._plan.inputs.get(source)
            cursor = read.cursor
            if path is None or source in self._plan.packed or not Path(path).exists():
                continue
            if not isinstance(cursor, list) or cursor[-1:] != [AT_END]:
                continue
            more = Path(path).stat().st_size - int(cursor[0])
            if more > 0:
                error = SourceChanged(
                    f"Source file {path} has grown, but its last line had no line end and was processed as it stood",
                    details=[f"{more:,} bytes were added behind byte {cursor[0]:,} while the run was at work"],
                    next_step="Take the added bytes away and resume, or start a fresh run with --force-new.",
                )
                self._write({}, {"status": "failed", "failure": error.message, "end_reason": error.message})
                self._leave()
                raise error

    def _leave(self) -> None:
        """Nothing more will be written: the database becomes one file, if nobody else uses it."""
        self._over = True
        self._writer.close()

    def on_stop(self) -> None:
        if not self._over:
            self._leave()

    def _write(self, records: Records, status: JsonObject | None = None, sent: Sequence[RecordFrames] = ()) -> int:
        events = [self._event(event) for event in self._events]
        last_event = self._events[-1].number if self._events else self._event_no
        if events:
            records = {**records, "supervision_events": [*records.get("supervision_events", []), *events]}
        number = self._writer.commit(
            self._plan.run_id, self._plan.attempt, records, status, sent, lasting=self._journal is not None
        )
        self._events.clear()
        self._event_no = last_event
        self._writer.write_journal(self._journal)
        return number

    def _mark(self, no: int) -> Record:
        """Where checkpoints are switched off, only this says how far a restarted audit process had come."""
        plan = self._plan
        event_id = ids.event_id(plan.run_id, plan.attempt, f"unit.{no:09d}")
        return (event_id, plan.attempt, None, "unit", None, None, utc_now())

    def _event(self, event: m.SupervisionEvent) -> Record:
        detail = orjson.dumps(event.detail, default=str).decode() if event.detail else None
        return (
            ids.event_id(self._plan.run_id, self._plan.attempt, event.number), self._plan.attempt,
            event.child, event.event, event.pid, detail, event.at,
        )  # fmt: skip

    def _artifacts(self, checkpoint: Checkpoint) -> list[Record]:
        plan, now = self._plan, utc_now()
        found = []
        for source, read in checkpoint.source_positions.items():
            if source in plan.sets:
                found.append(("input", source, *plan.sets[source], read.proof))
            elif source in plan.inputs and read.proof:
                known = None if source in plan.packed else read
                path, size, digest = _input(Path(plan.inputs[source]), known)
                found.append(("input", source, "-" if source == plan.stdin else path, size, digest))
        for sink, state in sink_states(checkpoint.sink_positions).items():
            info = state.output
            if info.path is not None and info.size is not None and info.sha256 is not None:
                found.append(("output", sink, info.path, info.size, info.sha256))
        return [
            (f"{plan.run_id}!{kind}.{node}", node, kind, path, size, digest, now)
            for kind, node, path, size, digest in found
        ]


def _input(path: Path, read: SourcePosition | None) -> tuple[str, int, str]:
    """An input file as it is at the end of the run: the proof says it where the last row ends with the file."""
    size = path.stat().st_size
    if read is not None and size == read.offset and read.proof:
        return str(path), size, read.proof
    with path.open("rb") as file:
        return str(path), size, hashlib.file_digest(file, "sha256").hexdigest()
