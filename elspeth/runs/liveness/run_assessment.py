"""What is true of a recorded run: who drives it, whether it is finished, and what stands in the way of another."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from actors.identity import Identity
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Attempt, CheckpointRecord, Run
from elspeth.audit.query.waiting import waiting as waiting_for
from elspeth.audit.store.attempts import memory_marks
from elspeth.audit.store.place import PostgresPlace
from elspeth.errors import NewerVersion, RunInProgress
from elspeth.outputs import sink_states
from elspeth.runs.liveness.evidence import gather, needs_watching, watch_all
from elspeth.runs.liveness.identity import AttemptIdentity, current
from elspeth.runs.liveness.judge import HEARTBEAT_TIMEOUT_SECONDS, Evidence, Verdict, judge
from elspeth.runs.liveness.session_probe import SessionProbe

IN_PROGRESS = "Run already in progress"


@dataclass(frozen=True, slots=True)
class RunAssessment:
    """A run, its latest attempt, and the verdict on that attempt."""

    run: Run
    attempt: Attempt
    verdict: Verdict
    checkpoint: CheckpointRecord | None
    waiting: str = ""  # what it waits for, where nothing gets done

    @property
    def next_command(self) -> str:
        """What the operator types now."""
        run_id = self.run.run_id
        if self.verdict.state == "alive":
            return f"elspeth status {run_id}"
        if self.verdict.state == "frozen":
            return f"elspeth resume {run_id} --take-over"
        return f"elspeth resume {run_id}"

    def in_progress(self, why: str = "") -> RunInProgress:
        """The refusal that this assessment asks for."""
        attempt = self.attempt
        since = f"pid {attempt.pid} on {attempt.host}, since {attempt.started_at}"
        return RunInProgress(
            f"{IN_PROGRESS}: {self.run.run_id} {why or 'is driven by somebody else'}",
            details=[f"attempt {attempt.attempt}: {since}", f"{self.verdict.state}: {self.verdict.sentence}"],
            next_step=self.next_command,
        )


def assessment(
    reader: AuditReader,
    run: Run,
    *,
    patience: float = HEARTBEAT_TIMEOUT_SECONDS,
    thorough: bool = False,
    notify: Callable[[str], None] = lambda line: None,
) -> RunAssessment:
    """Judge the latest attempt of a run; watches its heartbeat for `patience` seconds where nothing else can tell.

    A `thorough` look watches it too where a process is there, until it moves (some seconds where all is well).
    """
    return assessments(reader, [run], patience=patience, thorough=thorough, notify=notify)[0]


def assessments(
    reader: AuditReader,
    runs: Sequence[Run],
    *,
    patience: float = HEARTBEAT_TIMEOUT_SECONDS,
    thorough: bool = False,
    watches: Callable[[Run], bool] = lambda run: True,
    notify: Callable[[str], None] = lambda line: None,
) -> list[RunAssessment]:
    """Judge the latest attempts of runs, as `assessment` does. All heartbeats are watched during the same time.

    `watches` says whether a run is worth the wait; of others only lock and process are asked.
    """
    with SessionProbe(reader.path) as sessions:
        return _assessments(reader, runs, sessions, patience, thorough, watches, notify)


def _assessments(
    reader: AuditReader, runs: Sequence[Run], sessions: SessionProbe, patience: float, thorough: bool,
    watches: Callable[[Run], bool], notify: Callable[[str], None],
) -> list[RunAssessment]:  # fmt: skip
    here = current("")
    latest = [reader.attempts(run.run_id)[-1] for run in runs]

    def looked_at(identity: AttemptIdentity) -> Evidence:
        return gather(identity, database=reader.path, here=here, sessions=sessions)

    found = {
        run.run_id: looked_at(AttemptIdentity.from_columns(dataclasses.asdict(attempt)))
        for run, attempt in zip(runs, latest, strict=True)
    }
    waiting = {
        run.run_id: found[run.run_id]
        for run in runs
        if patience > 0 and watches(run) and needs_watching(found[run.run_id], thorough=thorough)
    }
    if waiting:
        hosts = sorted({evidence.identity.host for evidence in waiting.values()})
        heartbeats = f"heartbeat of {hosts[0]}" if len(waiting) == 1 else f"heartbeats of {len(waiting):,} runs"
        notify(f"watching the {heartbeats} for up to {patience:g} s")
        watched = watch_all(
            waiting, reader.heartbeats, seconds=patience,
            # The server lets go of the lock of a machine that is out of reach, after a while.
            again=(lambda evidence: looked_at(evidence.identity)) if isinstance(reader.path, PostgresPlace) else None,
        )  # fmt: skip
        for run_id, evidence in watched.items():
            # Who is less patient may learn that it moves, but not that it stands still.
            timeout = max(patience, HEARTBEAT_TIMEOUT_SECONDS)
            found[run_id] = dataclasses.replace(evidence, timeout_seconds=timeout)
    return [
        RunAssessment(
            run, attempt, judge(found[run.run_id]), reader.checkpoint(run.run_id),
            "" if found[run.run_id].lock == "free" else waiting_for(reader, run),
        )
        for run, attempt in zip(runs, latest, strict=True)
    ]  # fmt: skip


def resumable(run: Run) -> bool:
    """Whether the run waits to be finished. One that an operator marked failed by hand does not."""
    by_hand = run.status == "failed" and run.failure is None
    return run.completed_at is None and not run.finished and not by_hand


def outputs_of(run: Run, checkpoint: CheckpointRecord | None) -> set[str]:
    """The output files of a run, resolved."""
    if checkpoint is None:
        return set()
    outputs = (state.output for state in sink_states(checkpoint.read().sink_positions).values())
    return {output.resolved for output in outputs if output.resolved is not None}


def committed_rows(checkpoint: CheckpointRecord | None) -> int | None:
    """How many rows are committed, None without a checkpoint or where only a newer Elspeth can tell."""
    try:
        return None if checkpoint is None else checkpoint.read().row_count
    except NewerVersion:
        return None


def leftovers(reader: AuditReader, run_id: str) -> tuple[Identity, ...]:
    """The recorded child processes of a run that are not known to have ended."""
    found: dict[tuple[int, str | None], Identity] = {}
    for event in reader.events(run_id):
        key = (event.pid or 0, event.child)
        if event.event in ("started", "restarted") and event.child and event.detail:
            with suppress(KeyError):  # of a release that knew less of it
                found[key] = Identity.of_facts(json.loads(event.detail))
        elif event.event == "exited":
            found.pop(key, None)
    return tuple(found.values())


def inspected_sizes(reader: AuditReader, run_id: str) -> dict[str, int]:
    """The sizes of the inputs, in bytes, as the latest attempt found them."""
    found = [event.detail for event in reader.events(run_id) if event.event == "inspected" and event.detail]
    return dict(json.loads(found[-1])["sizes"]) if found else {}


def memory_ran_out(reader: AuditReader, run_id: str) -> set[int]:
    """The attempts during which the kernel killed processes of this machine for want of memory."""
    events = [event for event in reader.events(run_id) if event.event == memory_marks.EVENT and event.detail]
    marks = {event.attempt: json.loads(event.detail or "") for event in events if event.attempt is not None}
    return {attempt for attempt in marks if memory_marks.ran_out(marks, attempt, memory_marks.mark())}
