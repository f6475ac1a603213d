"""What the doctor says: about the database, and about every run in it that is not finished."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from elspeth.audit.store.place import Place
from elspeth.canonical import JsonObject
from elspeth.runs.doctor.findings import Finding
from elspeth.runs.lifecycle.driver import Driver
from elspeth.runs.liveness.run_assessment import RunAssessment, committed_rows

CURABLE = ("orphaned", "presumed_dead", "frozen", "unknown")


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run that is not finished. `wrong` is what keeps it from going on by itself or from being resumed."""

    assessment: RunAssessment
    findings: tuple[Finding, ...]
    drivers: Mapping[int, Driver] = field(default_factory=dict)

    @property
    def state(self) -> str:
        """The verdict on its process; `stopped` if it ended in order and waits to be resumed."""
        verdict = self.assessment.verdict.state
        return verdict if self.assessment.run.status == "running" or verdict in ("alive", "frozen") else "stopped"

    @property
    def evidence(self) -> str:
        """Why this is said of it, in words."""
        if self.state == "stopped":
            attempt = self.assessment.attempt
            return (
                f"attempt {attempt.attempt} ended {attempt.ended_at or ''}: {attempt.end_reason or 'no reason given'}"
            )
        return "; ".join(filter(None, (self.assessment.verdict.sentence, self.assessment.waiting)))

    @property
    def wrong(self) -> bool:
        """Whether somebody has to do something about it."""
        return self.state in CURABLE or any(finding.level == "wrong" for finding in self.findings)

    @property
    def next_command(self) -> str:
        """What the operator types now: what the first finding that stops a resume asks for, else the resume."""
        run_id = self.assessment.run.run_id
        if self.state not in ("alive", "frozen", "unknown"):
            # What would stop a resume comes first, or the command would only be refused.
            for finding in self.findings:
                if finding.level == "wrong" and finding.next_step.startswith("elspeth "):
                    return finding.next_step
        if self.assessment.checkpoint is None and self.state in ("orphaned", "presumed_dead", "stopped"):
            return f"elspeth doctor --mark-failed {run_id}"
        return self.assessment.next_command

    @property
    def rows(self) -> int | None:
        """How many rows are behind the checkpoint it would continue from, None without one that can be read."""
        return committed_rows(self.assessment.checkpoint)

    @property
    def age_seconds(self) -> float | None:
        """How old its checkpoint is by this machine's clock, for people: nothing is decided by it."""
        held = self.assessment.checkpoint
        if held is None:
            return None
        return (datetime.now(UTC) - datetime.fromisoformat(held.created_at)).total_seconds()

    def to_value(self) -> JsonObject:
        """The report as plain data."""
        run, attempt, held = self.assessment.run, self.assessment.attempt, self.assessment.checkpoint
        checkpoint = None
        if held is not None:
            checkpoint = {
                "checkpoint_id": held.checkpoint_id, "rows": self.rows, "row_id": held.row_id,
                "created_at": held.created_at, "age_seconds": self.age_seconds,
            }  # fmt: skip
        return {
            "run_id": run.run_id, "status": run.status, "state": self.state, "evidence": self.evidence,
            "wrong": self.wrong, "attempt": attempt.attempt, "host": attempt.host, "pid": attempt.pid,
            "started_at": attempt.started_at, "checkpoint": checkpoint, "next_command": self.next_command,
            "drivers": {str(number): driver.to_value() for number, driver in self.drivers.items()},
            "findings": [finding.to_value() for finding in self.findings],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Act:
    """Something that was done about a run, or that could not be done: then `error` says why."""

    run_id: str
    action: str
    message: str
    killed: tuple[int, ...] = ()
    error: str = ""

    def to_value(self) -> JsonObject:
        """The act as plain data."""
        return {
            "run_id": self.run_id, "action": self.action, "message": self.message, "killed": list(self.killed),
            "done": not self.error, "error": self.error or None,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that was found. `acts` are what `--fix` did first."""

    database: Place
    findings: tuple[Finding, ...]
    runs: tuple[RunReport, ...]
    acts: tuple[Act, ...] = ()

    @property
    def healthy(self) -> bool:
        """Whether there is nothing that somebody has to do something about."""
        well = not any(finding.level == "wrong" for finding in self.findings)
        return well and not any(run.wrong for run in self.runs) and not any(act.error for act in self.acts)

    def to_value(self) -> JsonObject:
        """The report as plain data."""
        return {
            "healthy": self.healthy, "database": str(self.database),
            "findings": [finding.to_value() for finding in self.findings],
            "runs": [run.to_value() for run in self.runs], "acts": [act.to_value() for act in self.acts],
        }  # fmt: skip
