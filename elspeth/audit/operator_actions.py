"""What operators do to runs from outside them, as commits of the runs' own chains."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from elspeth import canonical
from elspeth.audit.chain.records import Records
from elspeth.audit.store.attempts import state_events
from elspeth.audit.store.commits.commit_records import prepared
from elspeth.audit.store.commits.ledger import Ledger
from elspeth.audit.store.commits.ownership import Ownership
from elspeth.errors import RunInProgress


class OperatorActions:
    """Actions recorded in one database. `now` tells the time as it is recorded."""

    def __init__(self, ledger: Ledger, owners: Ownership, now: Callable[[], str]) -> None:
        self._ledger = ledger
        self._owners = owners
        self._now = now

    def record(
        self, run_id: str, action: str, user: str, uid: int | None, command_line: str, reason: str | None,
        columns: Mapping[str, Any], detail: Mapping[str, Any], expected: int | None, *, purge: bool,
    ) -> int:  # fmt: skip
        """Record what somebody did from outside, and project it, inside of a transaction; answers the commit's number.

        `columns` are mutable columns of `runs`. Raises `RunInProgress` unless the attempt is the `expected` one, or for
        a `purge` of a run that has not finished.
        """
        at = self._now()
        attempt, status = self._owners.owner(run_id)
        if expected is not None and attempt != expected:
            raise RunInProgress(
                f"Run already in progress: attempt {attempt} of run {run_id} has begun",
                details=self._owners.facts(run_id, attempt),
                next_step=f"elspeth status {run_id}",
            )
        if purge and not self._owners.finished(run_id, status):
            raise RunInProgress(f"run {run_id} has not finished, so nothing of it is purged")
        commit_no, digest = self._ledger.head(run_id)
        what = f"{action}.{commit_no + 1:09d}"
        changes: state_events.StateChanges = {"runs": dict(columns)}
        if columns.get("status", status) != "running" and self._owners.attempt(run_id, attempt)["ended_at"] is None:
            changes["attempts"] = {str(attempt): {"ended_at": at, "end_reason": f"{action} by {user}"}}
        done = (f"{run_id}!{what}", user, uid, command_line, reason, action, canonical.to_text(dict(detail)), at)
        records: Records = {"operator_actions": [done]}
        if columns or "attempts" in changes:
            records = state_events.with_event(records, state_events.event(run_id, attempt, what, at, changes))
            self._ledger.project(run_id, changes)
        return self._ledger.append(prepared(run_id, records), attempt, at, (commit_no, digest))

    def record_migration(self, who: Mapping[str, Any], before: int, after: int) -> None:
        """Inside of a transaction, on the run that began last, unless that would leave it half signed."""
        last = self._ledger.last_run()
        if last is not None and (self._ledger.signs or not self._ledger.is_signed(last)):
            by = (str(who["user"]), who["uid"], str(who["command_line"]), who["reason"])
            self.record(last, "migrate", *by, {}, {"from": before, "to": after}, None, purge=False)
