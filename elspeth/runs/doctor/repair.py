"""What the doctor does when asked to: mark orphans as interrupted, kill what is left of them, give a run up."""

from __future__ import annotations

from collections.abc import Callable

from actors.identity import Identity
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place
from elspeth.clock import utc_now
from elspeth.errors import ElspethError, RunInProgress
from elspeth.runs.doctor.report import Act
from elspeth.runs.doctor.survey import living_leftovers, stand
from elspeth.runs.liveness.judge import HEARTBEAT_TIMEOUT_SECONDS
from elspeth.runs.liveness.run_assessment import RunAssessment, resumable
from elspeth.runs.operate.client import operate
from elspeth.runs.operate.migration import bring_forward


def fix(
    database: Place,
    *,
    reason: str | None = None,
    patience: float = HEARTBEAT_TIMEOUT_SECONDS,
    notify: Callable[[str], None] = lambda line: None,
) -> list[Act]:
    """Mark every orphan `interrupted` and kill the processes left over from it; each act is on record.

    A run that is only presumed dead is left to `resume`, which takes it over. What cannot be done is in the acts.
    """
    acts = _migrated(database, reason, notify)
    with AuditReader(database) as reader:
        for state in stand(database, [run for run in reader.runs() if resumable(run)], patience, notify):
            orphan = state.run.status == "running" and state.verdict.state == "orphaned"
            remains = living_leftovers(reader, state)
            if orphan or remains:
                acts.append(_fixed(database, state, remains, orphan, reason))
    return acts


def _migrated(database: Place, reason: str | None, notify: Callable[[str], None]) -> list[Act]:
    """Bring an older schema forward, however large it is, unless a run lives."""
    versions = bring_forward(database, limit=None, reason=reason, notify=notify)
    return [Act("", "migrate", "schema brought from version {} to {}".format(*versions))] if versions else []


def mark_failed(
    database: Place,
    reference: str,
    *,
    reason: str | None = None,
    patience: float = HEARTBEAT_TIMEOUT_SECONDS,
    notify: Callable[[str], None] = lambda line: None,
) -> Act:
    """Give a run up: it is marked `failed`, cannot be resumed, and what is left of its processes is killed.

    Raises `RunNotFound`, `RunInProgress` while it lives or nobody can tell, `ElspethError` if it is completed.
    """
    with AuditReader(database) as reader:
        run = reader.run(reference)
        if run.status == "completed":
            raise ElspethError(f"run {run.run_id} is completed, there is nothing to give up")
        if run.status == "failed" and run.completed_at is not None:
            return Act(run.run_id, "mark_failed", f"marked failed already: {run.failure or 'no reason given'}")
        (state,) = stand(database, [run], patience, notify)
        if not state.verdict.dead and not (run.status != "running" and state.verdict.state == "unknown"):
            raise _lives(state)
        killed = _kill(living_leftovers(reader, state))
    bring_forward(database, besides=run.run_id, notify=notify)
    failure = "given up by an operator" + (f": {reason}" if reason else "")
    operate(
        database, run_id=run.run_id, action="mark_failed", reason=reason, expected_attempt=run.attempt,
        changes={"status": "failed", "failure": failure, "completed_at": utc_now()},
        detail=_seen(state, killed),
    )  # fmt: skip
    return Act(run.run_id, "mark_failed", "marked failed; it cannot be resumed any more", killed)


def _fixed(
    database: Place, state: RunAssessment, remains: tuple[Identity, ...], orphan: bool, reason: str | None
) -> Act:
    run = state.run
    done = []
    killed: tuple[int, ...] = ()
    try:
        killed = _kill(remains)
        operate(
            database, run_id=run.run_id, action="fix", reason=reason, expected_attempt=run.attempt,
            changes={"status": "interrupted"} if orphan else {}, detail=_seen(state, killed),
        )  # fmt: skip
    except (ElspethError, OSError) as error:
        words = error.message if isinstance(error, ElspethError) else str(error)
        return Act(run.run_id, "fix", "could not be fixed", killed, words)
    done += ["marked interrupted"] if orphan else []
    done += [f"killed left-over processes {', '.join(map(str, killed))}"] if killed else []
    return Act(run.run_id, "fix", "; ".join(done) or "nothing was left to do", killed)


def _kill(remains: tuple[Identity, ...]) -> tuple[int, ...]:
    return tuple(one.pid for one in remains if one.kill())


def _seen(state: RunAssessment, killed: tuple[int, ...]) -> dict[str, object]:
    """What the act was based on, for the record."""
    return {"verdict": state.verdict.state, "evidence": state.verdict.sentence, "killed": list(killed)}


def _lives(state: RunAssessment) -> RunInProgress:
    attempt = state.attempt
    error = state.in_progress("is not dead, so it is not given up")
    ends = {"alive": "TERM", "frozen": "KILL"}.get(state.verdict.state)
    step = f"end it first, on {attempt.host}: kill -{ends} {attempt.pid}" if ends else error.next_step
    return RunInProgress(error.message, details=error.details, next_step=step)
