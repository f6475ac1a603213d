"""Which attempt owns a run, asked within the transaction that relies on it."""

from __future__ import annotations

from typing import Any

from elspeth.audit.connection import Connection
from elspeth.audit.store.commits.ledger import as_dict
from elspeth.audit.store.place import Place
from elspeth.errors import RunNotFound, TakenOver


class Ownership:
    """Owners of the runs of one database. `place` is for messages."""

    def __init__(self, connection: Connection, place: Place) -> None:
        self._connection = connection
        self.place = place

    def finished(self, run_id: str, status: str) -> bool:
        """Whether the run with this status has come to its end, or was given up."""
        (ended,) = self._connection.execute(
            "SELECT completed_at IS NOT NULL OR superseded_by IS NOT NULL FROM runs WHERE run_id = ?", (run_id,)
        ).fetchone()
        return status != "running" and bool(ended)

    def owner(self, run_id: str) -> tuple[int, str]:
        """The latest attempt of a run, and the run's status. Raises `RunNotFound`."""
        row = self._connection.execute("SELECT attempt, status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        if row is None:
            raise RunNotFound(f"Run not found: {run_id} is not in {self.place}", next_step="elspeth runs")
        return row[0], row[1]

    def given_up(self, run_id: str) -> bool:
        """Whether a run that is to be driven has an end on record."""
        found = self._connection.execute("SELECT 1 FROM runs WHERE run_id = ? AND completed_at IS NOT NULL", (run_id,))
        return found.fetchone() is not None

    def fence(self, run_id: str, attempt: int) -> None:
        """Raise `TakenOver` unless this attempt drives the run now."""
        owner, status = self.owner(run_id)
        if owner != attempt:
            raise TakenOver(
                f"run {run_id} was taken over by attempt {owner}; this is attempt {attempt}",
                details=self.facts(run_id, owner),
                next_step=f"elspeth status {run_id}",
            )
        if status != "running":
            raise TakenOver(
                f"attempt {attempt} of run {run_id} has ended: the run is marked {status}",
                details=self.facts(run_id, attempt),
                next_step=f"elspeth status {run_id}",
            )

    def facts(self, run_id: str, attempt: int) -> list[str]:
        """Who an attempt is, and how it ended, for the details of an error."""
        row = self.attempt(run_id, attempt)
        facts = [f"attempt {attempt}: process {row['pid']} on {row['host']}, since {row['started_at']}"]
        if row["ended_at"]:
            facts.append(f"ended {row['ended_at']}: {row['end_reason']}")
        return facts

    def attempt(self, run_id: str, attempt: int) -> dict[str, Any]:
        """What is on record of an attempt: values of `None` where there is none."""
        cursor = self._connection.execute(
            "SELECT pid, host, started_at, ended_at, end_reason FROM run_attempts WHERE run_id = ? AND attempt = ?",
            (run_id, attempt),
        )
        return as_dict(cursor) or dict.fromkeys(("pid", "host", "started_at", "ended_at", "end_reason"))
