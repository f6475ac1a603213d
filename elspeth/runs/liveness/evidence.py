"""Collects the evidence about an attempt: asks for its lock, looks at its process, watches its heartbeat."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from actors.identity import Identity
from elspeth.audit.store.database import file_system
from elspeth.audit.store.place import Place
from elspeth.runs.liveness import locks
from elspeth.runs.liveness.identity import AttemptIdentity, current
from elspeth.runs.liveness.judge import HEARTBEAT_TIMEOUT_SECONDS, Evidence, ProcessState
from elspeth.runs.liveness.session_lock import SessionLockName
from elspeth.runs.liveness.session_probe import SessionProbe

POLL_SECONDS = 0.5
SETTLING_SECONDS = 2.0
"""So long a server may take to notice that a process has gone, or a process to take its lock again."""

K = TypeVar("K")


def gather(
    attempt: AttemptIdentity,
    *,
    database: Place | None = None,
    here: AttemptIdentity | None = None,
    network: Callable[[Path], str | None] = file_system,
    sessions: SessionProbe | None = None,
) -> Evidence:
    """What lock and process tell at once. Nothing is changed or taken, and next to nothing waited for.

    `database` is where the audit database lies as seen from here: the folder of locks beside it is tried first, since
    the recorded path may hold in another container only. `network` names the network file system that a file lies on,
    if it does: there, a free lock proves nothing about another machine. Of a lock that is a session the server of
    `sessions` is asked.
    """
    here = here or current(attempt.lock_path)
    same_boot = attempt.boot_id == here.boot_id
    if (name := SessionLockName.read(attempt.lock_path)) is not None:
        return _of_session(attempt, name, here, sessions or SessionProbe(database))
    database = database if isinstance(database, Path) else None
    found = _probe(attempt, database)
    if found.undescribed and not same_boot and not network(found.path):
        # On a disk of this machine, every holder of another boot is gone; what it wrote may have gone with it.
        found = locks.Probe("free", found.path)
    if found.state == "free" and not same_boot and network(found.path):
        found = locks.Probe("unreachable", found.path, "on a network volume, locks of other machines cannot be trusted")
    return Evidence(
        identity=attempt,
        lock=found.state,
        process=_process(attempt.process),
        same_host=attempt.host == here.host,
        same_boot=same_boot,
        in_container=attempt.container_id is not None or here.container_id is not None,
        lock_detail=found.detail if found.state == "unreachable" else "",
    )


def _of_session(
    attempt: AttemptIdentity, name: SessionLockName, here: AttemptIdentity, sessions: SessionProbe
) -> Evidence:
    with sessions:
        found, process = sessions.probe(name), _process(attempt.process)
        deadline = time.monotonic() + SETTLING_SECONDS
        while _contradicts(found.state, process) and time.monotonic() < deadline:
            time.sleep(0.05)
            found, process = sessions.probe(name), _process(attempt.process)
    lock, detail = found.state, found.detail
    if lock == "free" and process in ("running", "stopped"):
        # It lost its session, and will have another one as soon as it can.
        lock, detail = "unreachable", f"nobody holds {name}"
    return Evidence(
        identity=attempt,
        lock=lock,
        process=process,
        same_host=attempt.host == here.host,
        same_boot=attempt.boot_id == here.boot_id,
        in_container=attempt.container_id is not None or here.container_id is not None,
        lock_detail=detail if lock == "unreachable" else "",
        holder=found.detail if lock == "held" else "",
    )


def _contradicts(lock: locks.LockState, process: ProcessState) -> bool:
    """Whether one of both is about to change."""
    return (lock == "held" and process in ("gone", "reused")) or (lock == "free" and process in ("running", "stopped"))


def needs_watching(evidence: Evidence, *, thorough: bool = False) -> bool:
    """Whether the heartbeat can add to the verdict: neither a free lock nor a process in sight has spoken.

    A `thorough` look also asks whether a process that is there gets on: one in a frozen cgroup does not show it.
    """
    if evidence.lock == "unreachable" and evidence.same_host and not evidence.same_boot and not evidence.in_container:
        return False  # of an earlier boot of this machine nobody is left
    if evidence.lock == "free" or evidence.process == "stopped":
        return False
    there = evidence.process == "running" or evidence.lock == "held"
    return evidence.process == "unseen" or (thorough and there)


def watch(
    evidence: Evidence,
    heartbeat: Callable[[], int],
    *,
    seconds: float = HEARTBEAT_TIMEOUT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> Evidence:
    """The evidence, completed by watching the heartbeat number until it changes, `seconds` at most.

    `heartbeat` reads the number anew each time it is called. Time is counted on our own monotonic clock alone.
    """
    return watch_all({"": evidence}, lambda: {"": heartbeat()}, seconds=seconds, clock=clock, pause=pause)[""]


def watch_all(
    waiting: Mapping[K, Evidence],
    heartbeats: Callable[[], Mapping[K, int]],
    *,
    seconds: float = HEARTBEAT_TIMEOUT_SECONDS,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
    again: Callable[[Evidence], Evidence] | None = None,
) -> dict[K, Evidence]:
    """What `watch` does, for many attempts during the same time, however many they are.

    `heartbeats` reads all numbers anew each time it is called; one that is not there any more counts as moved.
    `again` looks at a lock anew: the watch ends for one that is free now.
    """
    start, before = clock(), heartbeats()
    left, found = dict(waiting), {}
    while left:
        for key, evidence in list(left.items()) if again is not None else ():
            assert again is not None
            if (seen := again(evidence)).lock == "free":
                found[key] = seen
                del left[key]
        elapsed, now = clock() - start, heartbeats()
        for key in [key for key in left if now.get(key) != before.get(key)]:
            found[key] = replace(left.pop(key), heartbeat="moving", watched_seconds=elapsed)
        if elapsed >= seconds:
            still: dict[str, Any] = {"heartbeat": "still", "watched_seconds": elapsed, "timeout_seconds": seconds}
            return found | {key: replace(evidence, **still) for key, evidence in left.items()}
        if left:
            pause(min(POLL_SECONDS, seconds - elapsed))
    return found


def _probe(attempt: AttemptIdentity, database: Path | None) -> locks.Probe:
    recorded = Path(attempt.lock_path)
    found = locks.probe(recorded)
    if database is not None:
        beside = Path(os.path.realpath(database)).parent / "locks" / recorded.name
        if beside != recorded:
            nearer = locks.probe(beside)
            found = found if nearer.state == "unreachable" else nearer
    return found


def _process(process: Identity) -> ProcessState:
    match process.state():
        case "alive":
            return "running"
        case "stopped":
            return "stopped"
        case "unknown":
            return "unseen"
    return "reused" if _exists(process.pid) else "gone"


def _exists(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return False
    # What is left of an ended process until its parent asks for the exit code is not somebody else.
    return status[status.rindex(")") + 2] not in "ZX"
