"""Whether all is well here: for the health check of a container, which asks often and must be answered soon.

Only a run that is driven where this is asked counts: whose main process can be seen from here, or whose lock is held by
a process of this container that cannot be looked at (another user's, in another pid namespace). What other containers
or hosts do is theirs.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from elspeth import __version__
from elspeth.audit.query.locate import NoDatabaseYet, locate
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.waiting import waiting as waiting_for
from elspeth.errors import ElspethError
from elspeth.plugins import registry
from elspeth.runs.liveness.evidence import gather
from elspeth.runs.liveness.identity import AttemptIdentity, current
from elspeth.runs.liveness.judge import Evidence

WATCH_SECONDS = 15.0
"""The heartbeat is written every 5 seconds, behind whatever commit is under way."""

POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was asked, and the answer in words."""

    name: str
    well: bool
    message: str


def check_health(
    named: str | None,
    environ: Mapping[str, str],
    directory: Path,
    *,
    seconds: float = WATCH_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> list[Check]:
    """Ask everything. Heartbeats of runs that are driven here are watched until they move, `seconds` at most."""
    checks = [Check("version", True, __version__), _plugins()]
    try:
        path = locate(named, environ, directory)
        with AuditReader(path) as reader:
            checks.append(Check("database", True, str(path)))
            checks += _runs(reader, seconds, clock, pause)
    except ElspethError as error:
        # Before its first run a container has no database; one that is named must be there.
        begun = not isinstance(error, NoDatabaseYet)
        checks.append(Check("database", not begun, "; ".join((error.message, *error.details))))
    return checks


def _plugins() -> Check:
    try:
        count = len(registry.available())
    except Exception as error:  # noqa: BLE001 - whatever an import raises, it is the answer
        return Check("plugins", False, f"cannot be imported: {type(error).__name__}: {error}")
    return Check("plugins", True, f"{count} can be used")


def _runs(
    reader: AuditReader, seconds: float, clock: Callable[[], float], pause: Callable[[float], None]
) -> list[Check]:
    """A check for each run that is driven here. All heartbeats are watched at the same time."""
    checks: list[Check] = []
    here = current("")
    waiting: dict[str, tuple[int, int]] = {}
    for run in reader.runs():
        if run.status != "running":
            continue
        attempt = reader.attempts(run.run_id)[-1]
        evidence = gather(AttemptIdentity.from_columns(dataclasses.asdict(attempt)), database=reader.path, here=here)
        if evidence.process == "stopped" and evidence.lock != "free":
            checks.append(Check("run", False, f"{run.run_id} is frozen: its main process {attempt.pid} is stopped"))
        elif _driven_here(evidence, here):
            waiting[run.run_id] = attempt.attempt, attempt.heartbeat_number
        elif evidence.process != "unseen":
            checks.append(Check("run", True, f"{run.run_id} is not driven: see elspeth doctor"))
    start = clock()
    while waiting:
        for run_id, (attempt_no, before) in list(waiting.items()):
            if reader.run(run_id).status != "running":
                checks.append(Check("run", True, f"{run_id} ended while it was watched"))
            elif reader.heartbeat(run_id, attempt_no) != before:
                told = "; ".join(
                    filter(None, ("is driven, its heartbeat moves", waiting_for(reader, reader.run(run_id))))
                )
                checks.append(Check("run", True, f"{run_id} {told}"))
            elif clock() - start >= seconds:
                checks.append(Check("run", False, f"{run_id}: its heartbeat has not moved for {seconds:g} s"))
            else:
                continue
            del waiting[run_id]
        if waiting:
            pause(POLL_SECONDS)
    return checks


def _driven_here(evidence: Evidence, here: AttemptIdentity) -> bool:
    if evidence.lock == "held":
        ours = evidence.same_boot and evidence.identity.container_id == here.container_id
        return evidence.process != "unseen" or ours
    return evidence.lock == "unreachable" and evidence.process == "running"
