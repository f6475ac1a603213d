"""The one writer of the audit database: each call is one transaction, chained to the one before it.

Imported by the audit role alone. Records come as the plain tuples of `chain/records.py` and are bound as they
are; what they must look like is checked in one pass in C, and all digests are made before the transaction begins.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from actors.crash_points import crash_point
from elspeth import ids
from elspeth.audit import copying, migration, purge
from elspeth.audit.chain.records import Records
from elspeth.audit.chain.texts import storable, storable_or_none
from elspeth.audit.connection import Lost
from elspeth.audit.dialect import write_alone
from elspeth.audit.export.journal import Journal
from elspeth.audit.operator_actions import OperatorActions
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database, schema
from elspeth.audit.store.attempts import state_events
from elspeth.audit.store.attempts.output_claims import require_unused
from elspeth.audit.store.attempts.suspicions import suspects
from elspeth.audit.store.commits.commit_records import PreparedCommit, prepared
from elspeth.audit.store.commits.ledger import Ledger
from elspeth.audit.store.commits.order_of_runs import COPY, arrival
from elspeth.audit.store.commits.ownership import Ownership
from elspeth.audit.store.commits.record_frames import RecordFrames
from elspeth.audit.store.place import Place
from elspeth.audit.store.tallies import with_tally
from elspeth.clock import utc_now
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.errors import ElspethError, RunInProgress


class AuditWriter:
    """Writes to one audit database, which is created if it does not exist.

    With a `signing_key` every commit is signed. Not thread safe; hold one per process. `migrate` says for whom (`user`,
    `uid`, `command_line`, `reason`) an older schema is brought forward first, only while no run is alive; `notify` is
    given a line at each step of it. `mode` is that of a file that is created. Every method raises `Temporary` where the
    database is locked, full or not writable; then nothing of that call has happened.
    """

    def __init__(
        self,
        place: Place,
        *,
        signing_key: bytes | None = None,
        mode: int | None = None,
        migrate: Mapping[str, Any] | None = None,
        notify: Callable[[str], None] = lambda line: None,
        now: Callable[[], str] = utc_now,
    ) -> None:
        self.path = place
        self._now, self._key, self._notify = now, signing_key, notify
        self._connection = database.open_writer(place, mode)
        self._ledger = Ledger(place, self._connection, signing_key)
        self._owners = Ownership(self._connection, place)
        self._actions = OperatorActions(self._ledger, self._owners, now)
        try:
            self._prepare_schema(migrate)
        except BaseException:
            self._connection.close()
            raise

    def create_run(
        self,
        run: Mapping[str, Any],
        attempt: Mapping[str, Any],
        records: Records,
        *,
        supersedes: Sequence[tuple[str, int]] = (),
        reason: str | None = None,
    ) -> int:
        """Record a new run, its first attempt and checkpoint 0; answers the number of the commit, 0.

        `run` holds columns of `runs`, `attempt` columns of `run_attempts`; the status is `running` and the attempt 1.
        `supersedes` names unfinished runs, each with the attempt that was seen, that are given up for this one in the
        same transaction. Raises `RunInProgress` if a run with this id exists, one of those has gone on, or another
        unfinished run writes one of the outputs of checkpoint 0: it began since somebody looked.
        """
        run_id = str(run["run_id"])
        at = self._now()
        state: dict[str, Any] = {"status": "running", "attempt": 1, "completed_at": None, "superseded_by": None}
        started = state_events.event(
            run_id, 1, "started", at, {"runs": {**state, "failure": None}, "attempts": state_events.opened(1)}
        )
        batch = prepared(run_id, state_events.with_event(records, started))
        run_columns = {**run, **state, "started_at": run.get("started_at", at)}
        attempt_columns = {**attempt, "attempt": 1, "started_at": attempt.get("started_at", at)}
        batch.add_single("runs", run_columns)
        batch.add_single("run_attempts", attempt_columns)
        with self._ledger.transaction():
            if self._connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone():
                raise RunInProgress(f"a run with the id {run_id} exists already", next_step="start the run again")
            for checkpoint in records.get("checkpoints", ()):
                require_unused(self._connection, str(checkpoint[5]), [other for other, _ in supersedes])
            self._ledger.insert_columns("runs", {**run_columns, "commit_no": 0})
            self._ledger.insert_columns(
                "run_attempts", {"heartbeat_number": 0, **attempt_columns, "run_id": run_id, "commit_no": 0}
            )
            number = self._ledger.append(batch, 1, at, head=(-1, self._ledger.last_head()))
            who = (str(attempt.get("user")), attempt.get("uid"), str(attempt.get("command_line")), reason)
            gone = {"status": "failed", "failure": f"given up for run {run_id}", "superseded_by": run_id}
            for other, seen in supersedes:
                columns = {**gone, "completed_at": at}
                self._actions.record(other, "force_new", *who, columns, {"new_run": run_id}, seen, purge=False)
            crash_point("audit.in_start")
            return number

    def begin_attempt(
        self, run_id: str, expected_attempt: int, attempt: Mapping[str, Any], records: Records
    ) -> tuple[int, dict[str, Any] | None]:
        """Take the run over: answers the new attempt's number and the row of its latest checkpoint, None without one.

        A compare-and-swap: raises `RunInProgress` unless `expected_attempt` is the latest attempt still, and
        `ElspethError` if the run is completed or was given up. From now on no commit of an earlier attempt succeeds.
        """
        at = self._now()
        number = expected_attempt + 1
        with self._ledger.transaction():
            found, status = self._owners.owner(run_id)
            if found != expected_attempt:
                raise RunInProgress(
                    f"Run already in progress: attempt {found} of run {run_id} began first",
                    details=self._owners.facts(run_id, found),
                    next_step=f"elspeth status {run_id}",
                )
            if status == "completed":
                raise ElspethError(f"run {run_id} is completed, there is nothing to resume")
            if self._owners.given_up(run_id):
                raise ElspethError(
                    f"run {run_id} was given up meanwhile, so it is not resumed", next_step=f"elspeth status {run_id}"
                )
            ended: dict[str, dict[str, Any]] = {}
            if self._owners.attempt(run_id, found)["ended_at"] is None:
                ended = {str(found): {"ended_at": at, "end_reason": f"taken over by attempt {number}"}}
            changes: state_events.StateChanges = {
                "runs": {"status": "running", "attempt": number, "completed_at": None, "failure": None},
                "attempts": {**ended, **state_events.opened(number)},
            }
            started = state_events.event(run_id, number, "started", at, changes)
            batch = prepared(run_id, state_events.with_event(records, started))
            columns = {**attempt, "attempt": number, "started_at": attempt.get("started_at", at)}
            batch.add_single("run_attempts", columns)
            head = self._ledger.head(run_id)
            self._ledger.insert_columns(
                "run_attempts", {"heartbeat_number": 0, **columns, "run_id": run_id, "commit_no": head[0] + 1}
            )
            self._ledger.project(run_id, changes)
            checkpoint = self._ledger.latest_checkpoint(run_id)
            self._ledger.append(batch, number, at, head)
            crash_point("audit.in_take_over")
        return number, checkpoint

    def confirm(self, run_id: str, attempt: int) -> tuple[int, dict[str, Any] | None]:
        """Prove that this attempt owns the run; answers the last commit's number and the latest checkpoint's row.

        What a restarted audit process asks first; it may have died right behind the commit that completed the run.
        Raises `TakenOver`.
        """
        with self._ledger.transaction():
            if self._owners.owner(run_id) != (attempt, "completed"):
                self._owners.fence(run_id, attempt)
            return self._ledger.head(run_id)[0], self._ledger.latest_checkpoint(run_id)

    def latest_checkpoint(self, run_id: str) -> Checkpoint | None:
        """What the latest checkpoint of a run that is ours says, with its tally; None without one. Keeps nobody out."""
        with database.translated_errors(self.path):
            row = self._ledger.latest_checkpoint(run_id)
            return None if row is None else with_tally(self._connection, row["message"], row["checkpoint_id"])

    def has_begun(self, run_id: str, attempt: int, pid: int, process_start_ticks: int) -> bool:
        """Whether this attempt is on record as driven by this process: what tells a restart from a first start."""
        found = self._connection.execute(
            "SELECT 1 FROM run_attempts WHERE run_id = ? AND attempt = ? AND pid = ? AND process_start_ticks = ?",
            (run_id, attempt, pid, process_start_ticks),
        )
        return found.fetchone() is not None

    def last_event(self, run_id: str, attempt: int) -> int:
        """The highest number among the recorded events of this attempt's children, 0 without any."""
        found = self._connection.execute(
            "SELECT max(event_id) FROM supervision_events WHERE event_id > ? AND event_id < ?",
            (events_from := ids.event_id(run_id, attempt, 0), ids.event_id(run_id, attempt, "a")),
        ).fetchone()[0]
        return int(found[len(events_from) - 6 :]) if found else 0

    def last_micro_batch(self, run_id: str, attempt: int) -> int:
        """The last micro-batch that this attempt committed, where checkpoints are switched off; 0 without any."""
        prefix = ids.event_id(run_id, attempt, "unit.")
        found = self._connection.execute(
            "SELECT max(event_id) FROM supervision_events WHERE event_id > ? AND event_id < ?", (prefix, prefix + "~")
        ).fetchone()[0]
        return int(found[len(prefix) :]) if found else 0

    def suspects(self, run_id: str, rows: int) -> dict[int, int]:
        """Rows behind the first `rows` that were suspected, with the deaths they are known to have seen alone."""
        return suspects(self._connection, run_id, rows)

    def commit(
        self, run_id: str, attempt: int, records: Records, status: Mapping[str, Any] | None = None,
        sent: Sequence[RecordFrames] = (), *, lasting: bool = True,
    ) -> int:  # fmt: skip
        """Write these records and what roles sent in one transaction; answers the commit's number.

        `lasting`: a journal is to get the records when they are written (`write_journal`).

        `status` ends the attempt: `{"status": "completed", ...}` with columns of `runs` (`completed_at`, `failure`)
        and `end_reason`. Raises `TakenOver` if another attempt drives the run, `DuplicateRow` if a record is there
        already; then nothing was written.
        """
        crash_point("audit.before_commit")
        at = self._now()
        status = status and _storable(status)
        changes = state_events.ended(attempt, at, status) if status else None
        if status and changes:
            records = state_events.with_event(
                records, state_events.event(run_id, attempt, str(status["status"]), at, changes)
            )
        batch = prepared(run_id, records, sent, lasting=lasting)
        try:
            number = self._committed(batch, attempt, at, changes)
        except Lost:
            number = self._committed(batch, attempt, at, changes)
        crash_point("audit.after_commit")
        return number

    def _committed(
        self, batch: PreparedCommit, attempt: int, at: str, changes: state_events.StateChanges | None
    ) -> int:
        with self._ledger.transaction():
            self._owners.fence(batch.run_id, attempt)
            if changes:
                self._ledger.project(batch.run_id, changes)
            number = self._ledger.append(batch, attempt, at, self._ledger.head(batch.run_id))
            crash_point("audit.in_transaction")
        return number

    def write_journal(self, journal: Journal | None) -> None:
        """Append the last commit to a journal, if there is one, and let go of what it held."""
        appended, self._ledger.appended = self._ledger.appended, None
        if journal is not None and appended is not None:
            journal.append(*appended, self._connection)

    def catch_up(self, journal: Journal) -> None:
        """Append to a journal whatever it does not have yet."""
        journal.catch_up(self._connection)

    def heartbeat(self, run_id: str, attempt: int, number: int, at: str) -> None:
        """Record that the main process is alive. Raises `TakenOver` if another attempt drives the run."""
        try:
            self._beat(run_id, attempt, number, at)
        except Lost:
            self._beat(run_id, attempt, number, at)

    def _beat(self, run_id: str, attempt: int, number: int, at: str) -> None:
        with self._ledger.transaction():
            self._owners.fence(run_id, attempt)
            self._connection.execute(
                "UPDATE run_attempts SET heartbeat_number = ?, heartbeat_at = ? WHERE run_id = ? AND attempt = ?",
                (number, at, run_id, attempt),
            )

    def operator_action(
        self,
        *,
        run_id: str,
        action: str,
        user: str,
        uid: int | None,
        command_line: str,
        reason: str | None,
        changes: Mapping[str, Any] | None = None,
        detail: Mapping[str, Any] | None = None,
        expected_attempt: int | None = None,
    ) -> int:
        """Record who did what to a run from outside it, and carry it out; answers the commit's number.

        `changes` are mutable columns of `runs` (mark failed: `{"status": "failed", "failure": ...}`); a status that is
        not `running` ends the attempt, and its later commits are refused. With `expected_attempt`, raises
        `RunInProgress` if another attempt has begun since the operator looked.
        """
        with self._ledger.transaction():
            return self._actions.record(
                run_id, action, user, uid, storable(command_line), storable_or_none(reason), _storable(changes or {}),
                detail or {}, expected_attempt, purge=False,
            )  # fmt: skip

    def take_in(
        self, origin: AuditReader, *, run_id: str, user: str, uid: int | None, command_line: str,
        reason: str | None = None,
    ) -> int:  # fmt: skip
        """Copy a finished run with all its records from another database; answers the number of its new last commit.

        All of it or nothing, and nothing that does not hold. What is here already, the same, is left as it is. Raises
        `RunInProgress` where the run has not finished there, `SettingsError` where it is signed and there is no key,
        `ElspethError` where something of it does not hold, or another run has its id here.
        """
        with origin.snapshot():
            head = copying.require_copyable(origin, run_id, self._key)
            with self._ledger.transaction(alone=False):
                if copying.is_there(self._connection, run_id, head, str(self.path)):
                    return self._ledger.head(run_id)[0]
                copying.transfer(origin, self._connection, run_id, self._notify)
                copying.require_copied(self._connection, run_id, head, self._key, str(self.path))
                write_alone(self._connection)
                detail = arrival(self._ledger.last_head(besides=run_id), str(origin.path), head.commit_no, head.digest)
                number = self._actions.record(
                    run_id, COPY, user, uid, command_line, reason, {}, detail, None, purge=False
                )
                crash_point("audit.before_copied")
        crash_point("audit.after_copied")
        return number

    def purge(
        self, *, run_id: str, user: str, uid: int | None, command_line: str, reason: str | None = None,
        whole: bool = False, detail: Mapping[str, Any] | None = None,
    ) -> int:  # fmt: skip
        """Forget what people wrote into the rows of a finished run; hashes and the story stay. Not so if `whole`: then
        all records about rows go, and only the run's own, and the chain, stay.

        Recorded as an operator's action first, with `detail`; answers that commit's number. What follows is done piece
        by piece, and after a crash finished by asking once more. Raises `RunInProgress` where the run has not finished.
        """
        action = purge.REMOVE if whole else purge.PURGE
        with self._ledger.transaction():
            number = self._actions.record(
                run_id, action, user, uid, command_line, reason, {}, detail or {}, None, purge=True
            )
        crash_point("audit.before_purge")
        purge.forget(self._ledger, run_id, whole=whole)
        return number

    def close(self) -> bool:
        """Leave the database; answers whether it is one file now (False: somebody else still uses it)."""
        return database.leave_orderly(self._connection)

    def _prepare_schema(self, migrate: Mapping[str, Any] | None) -> None:
        converted: sqlite3.Connection | None = None
        with self._ledger.transaction():
            if schema.is_empty(self._connection):
                schema.create(self._connection)
                return
            found = schema.version(self._connection)
            if (
                migrate is not None and found is not None and found < schema.VERSION
                and isinstance(self._connection, sqlite3.Connection) and isinstance(self.path, Path)
            ):  # fmt: skip
                self._actions.record_migration(migrate, *migration.convert(self._connection, self.path, self._notify))
                converted = self._connection
            schema.check(self._connection, self.path)
        if converted is not None:
            migration.give_back(converted)


def _storable(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: storable(value) if isinstance(value, str) else value for name, value in columns.items()}
