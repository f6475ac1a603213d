"""Judges from evidence whether an attempt is alive: pure, strongest evidence first, no clocks compared.

1. The lock. Free: dead, whatever else there is. Held: not dead, even from another container.
2. The process with its full identity, where it can be seen: same host, boot and pid namespace.
3. The heartbeat number, while we watch: moving means alive; still for the time-out means presumed dead, or frozen where
   lock or process say that it is not dead: a paused container holds its lock and has its process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from elspeth.runs.liveness.identity import AttemptIdentity
from elspeth.runs.liveness.locks import LockState

State = Literal["alive", "orphaned", "frozen", "presumed_dead", "unknown"]
ProcessState = Literal["running", "stopped", "gone", "reused", "unseen"]
HeartbeatState = Literal["moving", "still", "unwatched"]

HEARTBEAT_TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was found out about an attempt, as seen from here.

    `process` is `unseen` where it cannot be looked at from here, `reused` if its pid belongs to another process now.
    `watched_seconds` is how long the heartbeat was watched without a change; `lock_detail` why a lock is unreachable,
    and `holder` who holds one as far as whoever keeps it can tell.
    """

    identity: AttemptIdentity
    lock: LockState
    process: ProcessState
    same_host: bool
    same_boot: bool
    in_container: bool  # it or we
    heartbeat: HeartbeatState = "unwatched"
    watched_seconds: float = 0.0
    timeout_seconds: float = HEARTBEAT_TIMEOUT_SECONDS
    lock_detail: str = ""
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`state`, and a sentence that names the evidence for it."""

    state: State
    sentence: str

    @property
    def dead(self) -> bool:
        """Whether the attempt may be taken over without the operator's word."""
        return self.state in ("orphaned", "presumed_dead")


def judge(evidence: Evidence) -> Verdict:
    """What is true of the attempt, and why."""
    match evidence.lock:
        case "held":
            return _held(evidence)
        case "free":
            return Verdict("orphaned", f"lock free and {_fate(evidence)}")
    if evidence.process != "unseen":
        return _seen(evidence)
    return _far(evidence)


def _held(evidence: Evidence) -> Verdict:
    pid, held = evidence.identity.pid, f"lock held by {evidence.holder}," if evidence.holder else "lock held,"
    match evidence.process:
        case "running" if _stands_still(evidence):
            return Verdict("frozen", f"lock held and pid {pid} there, but {_not_moved(evidence)}")
        case "running":
            return Verdict("alive", f"lock held and pid {pid} running")
        case "stopped":
            return Verdict("frozen", f"lock held, but pid {pid} is stopped")
        case "gone" | "reused" if _stands_still(evidence):
            return Verdict("frozen", f"{held} although {_fate(evidence)}, and {_not_moved(evidence)}")
        case "gone" | "reused":
            return Verdict("alive", f"{held} although {_fate(evidence)}: another process holds it")
    by = _whereabouts(evidence) + (f", {evidence.holder}" if evidence.holder else "")
    if _stands_still(evidence):
        return Verdict("frozen", f"lock held by {by}, but {_not_moved(evidence)}")
    return Verdict("alive", f"lock held by {by}{', heartbeat moving' if evidence.heartbeat == 'moving' else ''}")


def _seen(evidence: Evidence) -> Verdict:
    pid = evidence.identity.pid
    match evidence.process:
        case "running" if _stands_still(evidence):
            return Verdict("frozen", f"pid {pid} there, but {_not_moved(evidence)} ({_no_lock(evidence)})")
        case "running":
            return Verdict("alive", f"pid {pid} running since the attempt began ({_no_lock(evidence)})")
        case "stopped":
            return Verdict("frozen", f"pid {pid} is stopped ({_no_lock(evidence)})")
    return Verdict("orphaned", f"{_fate(evidence)} ({_no_lock(evidence)})")


def _far(evidence: Evidence) -> Verdict:
    host, why = evidence.identity.host, _no_lock(evidence)
    if evidence.heartbeat == "moving":
        return Verdict("alive", f"heartbeat of host {host} is moving ({why})")
    # Containers choose their host names, so that for them the name proves no reboot.
    if evidence.same_host and not evidence.same_boot and not evidence.in_container:
        return Verdict("orphaned", f"host {host} was rebooted since ({why})")
    if _stands_still(evidence):
        return Verdict("presumed_dead", f"{_not_moved(evidence)} ({why})")
    if evidence.heartbeat == "still":
        return Verdict("unknown", f"{_not_moved(evidence)}, {evidence.timeout_seconds:g} s are needed ({why})")
    return Verdict("unknown", f"heartbeat of host {host} was not watched ({why})")


def _stands_still(evidence: Evidence) -> bool:
    return evidence.heartbeat == "still" and evidence.watched_seconds >= evidence.timeout_seconds


def _fate(evidence: Evidence) -> str:
    """What became of the process."""
    identity = evidence.identity
    match evidence.process:
        case "gone":
            return f"pid {identity.pid} gone"
        case "reused":
            return f"pid {identity.pid} exists but started later than the run"
        case "running":
            return f"pid {identity.pid} about to end"
        case "stopped":
            return f"pid {identity.pid} stopped, having let go of it"
    if evidence.same_host and not evidence.same_boot and not evidence.in_container:
        return f"host {identity.host} was rebooted since"
    return f"nobody of {_whereabouts(evidence)} holds it any more"


def _whereabouts(evidence: Evidence) -> str:
    identity = evidence.identity
    if identity.container_id:
        return f"another container ({identity.container_id[:12]}, pid {identity.pid} there)"
    if evidence.same_boot:
        return f"another pid namespace (pid {identity.pid} of {identity.host})"
    return f"host {identity.host} (pid {identity.pid} there)"


def _not_moved(evidence: Evidence) -> str:
    return f"heartbeat of host {evidence.identity.host} has not moved for {round(evidence.watched_seconds, 1):g} s"


def _no_lock(evidence: Evidence) -> str:
    return f"lock out of reach: {evidence.lock_detail}" if evidence.lock_detail else "lock out of reach"
