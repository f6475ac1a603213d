"""What is concluded from which evidence."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any, get_args

import pytest

from elspeth.runs.liveness.identity import AttemptIdentity
from elspeth.runs.liveness.judge import Evidence, HeartbeatState, ProcessState, State, judge
from elspeth.runs.liveness.locks import LockState

WHO = AttemptIdentity(
    host="web-1",
    boot_id="b00t",
    pid_namespace="pid:[4026531836]",
    pid=4242,
    process_start_time=1_700_000_000.0,
    process_start_ticks=123_456,
    container_id=None,
    user="ann",
    uid=1000,
    command_line="elspeth run --settings pipeline.yaml --execute",
    lock_path="/state/locks/mf3k2a9x.1.lock",
)
CONTAINER = replace(WHO, container_id="c0ffee" * 10 + "abcd")


def evidence(lock: LockState, process: ProcessState, **more: Any) -> Evidence:
    defaults: dict[str, Any] = {"same_host": True, "same_boot": True, "in_container": False}
    if lock == "unreachable":
        defaults["lock_detail"] = "/state/locks/mf3k2a9x.1.lock: No such file or directory"
    return Evidence(lock=lock, process=process, **{"identity": WHO, **defaults, **more})


STILL = {"heartbeat": "still", "watched_seconds": 60.0}
ELSEWHERE = {"same_host": False, "same_boot": False}
REBOOTED = {"same_boot": False}
IN_CONTAINER = {"identity": CONTAINER, "in_container": True}
GONE_FILE = "lock out of reach: /state/locks/mf3k2a9x.1.lock: No such file or directory"

TABLE: list[tuple[str, Evidence, State, str]] = [
    ("a run at work", evidence("held", "running"), "alive", "lock held and pid 4242 running"),
    ("in a frozen cgroup", evidence("held", "running", **STILL), "frozen",
     "lock held and pid 4242 there, but heartbeat of host web-1 has not moved for 60 s"),
    ("slow, but not for long", evidence("held", "running", heartbeat="still", watched_seconds=59.0), "alive",
     "lock held and pid 4242 running"),
    ("in a frozen cgroup, lock out of reach", evidence("unreachable", "running", **STILL), "frozen",
     f"pid 4242 there, but heartbeat of host web-1 has not moved for 60 s ({GONE_FILE})"),
    ("held by a process that cannot be seen, and still", evidence("held", "gone", **STILL), "frozen",
     "lock held, although pid 4242 gone, and heartbeat of host web-1 has not moved for 60 s"),
    ("stopped by SIGSTOP", evidence("held", "stopped"), "frozen", "lock held, but pid 4242 is stopped"),
    ("killed", evidence("free", "gone"), "orphaned", "lock free and pid 4242 gone"),
    ("pid reused", evidence("free", "reused"), "orphaned",
     "lock free and pid 4242 exists but started later than the run"),
    ("on its way out", evidence("free", "running"), "orphaned", "lock free and pid 4242 about to end"),
    ("lock lost", evidence("free", "stopped"), "orphaned", "lock free and pid 4242 stopped, having let go of it"),
    ("rebooted, folder still here", evidence("free", "unseen", **REBOOTED), "orphaned",
     "lock free and host web-1 was rebooted since"),
    ("other container, shared folder, alive", evidence("held", "unseen", **IN_CONTAINER), "alive",
     "lock held by another container (c0ffeec0ffee, pid 4242 there)"),
    ("other container, watched", evidence("held", "unseen", **IN_CONTAINER, heartbeat="moving"), "alive",
     "lock held by another container (c0ffeec0ffee, pid 4242 there), heartbeat moving"),
    ("other container, paused", evidence("held", "unseen", **IN_CONTAINER, **STILL), "frozen",
     "lock held by another container (c0ffeec0ffee, pid 4242 there), "
     "but heartbeat of host web-1 has not moved for 60 s"),
    ("other container, shared folder, dead", evidence("free", "unseen", **IN_CONTAINER), "orphaned",
     "lock free and nobody of another container (c0ffeec0ffee, pid 4242 there) holds it any more"),
    ("other namespace, alive", evidence("held", "unseen"), "alive",
     "lock held by another pid namespace (pid 4242 of web-1)"),
    ("other namespace, dead", evidence("free", "unseen"), "orphaned",
     "lock free and nobody of another pid namespace (pid 4242 of web-1) holds it any more"),
    ("other machine holds the lock", evidence("held", "unseen", **ELSEWHERE), "alive",
     "lock held by host web-1 (pid 4242 there)"),
    ("lock file gone, process here", evidence("unreachable", "running"), "alive",
     f"pid 4242 running since the attempt began ({GONE_FILE})"),
    ("lock file gone, process stopped", evidence("unreachable", "stopped"), "frozen",
     f"pid 4242 is stopped ({GONE_FILE})"),
    ("lock file gone, process gone", evidence("unreachable", "gone"), "orphaned", f"pid 4242 gone ({GONE_FILE})"),
    ("lock file gone, pid reused", evidence("unreachable", "reused"), "orphaned",
     f"pid 4242 exists but started later than the run ({GONE_FILE})"),
    ("lock file gone, rebooted", evidence("unreachable", "unseen", **REBOOTED), "orphaned",
     f"host web-1 was rebooted since ({GONE_FILE})"),
    ("rebooted, by its name, but beating", evidence("unreachable", "unseen", **REBOOTED, heartbeat="moving"), "alive",
     f"heartbeat of host web-1 is moving ({GONE_FILE})"),
    ("container with the same host name", evidence("unreachable", "unseen", **REBOOTED, **IN_CONTAINER), "unknown",
     f"heartbeat of host web-1 was not watched ({GONE_FILE})"),
    ("other machine, beating", evidence("unreachable", "unseen", **ELSEWHERE, heartbeat="moving"), "alive",
     f"heartbeat of host web-1 is moving ({GONE_FILE})"),
    ("other machine, silent", evidence("unreachable", "unseen", **ELSEWHERE, **STILL), "presumed_dead",
     f"heartbeat of host web-1 has not moved for 60 s ({GONE_FILE})"),
    ("other machine, watched too short",
     evidence("unreachable", "unseen", **ELSEWHERE, heartbeat="still", watched_seconds=12.0), "unknown",
     f"heartbeat of host web-1 has not moved for 12 s, 60 s are needed ({GONE_FILE})"),
    ("other machine, not watched", evidence("unreachable", "unseen", **ELSEWHERE), "unknown",
     f"heartbeat of host web-1 was not watched ({GONE_FILE})"),
    ("held, though its process is gone", evidence("held", "gone"), "alive",
     "lock held, although pid 4242 gone: another process holds it"),
]  # fmt: skip


@pytest.mark.parametrize(("found", "state", "sentence"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_evidence_leads_to_a_verdict_and_its_sentence(found: Evidence, state: State, sentence: str) -> None:
    verdict = judge(found)
    assert (verdict.state, verdict.sentence) == (state, sentence)


def every_evidence() -> list[Evidence]:
    parts: dict[str, tuple[Any, ...]] = {
        "lock": get_args(LockState),
        "process": get_args(ProcessState),
        "heartbeat": get_args(HeartbeatState),
        "same_host": (True, False),
        "same_boot": (True, False),
        "in_container": (True, False),
        "watched_seconds": (0.0, 60.0),
    }
    return [evidence(**dict(zip(parts, values, strict=True))) for values in itertools.product(*parts.values())]


def test_a_free_lock_means_dead_whatever_else_there_is() -> None:
    assert {judge(found).state for found in every_evidence() if found.lock == "free"} == {"orphaned"}


def test_a_held_lock_never_means_dead() -> None:
    assert not any(judge(found).dead for found in every_evidence() if found.lock == "held")


def test_a_moving_heartbeat_never_means_dead_unless_lock_or_process_say_so() -> None:
    for found in every_evidence():
        if found.heartbeat == "moving" and found.lock == "unreachable" and found.process == "unseen":
            assert judge(found).state == "alive"


def test_a_process_that_is_seen_decides_where_the_lock_cannot_be_reached() -> None:
    for found in every_evidence():
        if found.lock == "unreachable" and found.process != "unseen":
            still = found.heartbeat == "still" and found.watched_seconds >= found.timeout_seconds
            expected = {"running": "frozen" if still else "alive", "stopped": "frozen"}.get(found.process, "orphaned")
            assert judge(found).state == expected


def test_nobody_is_presumed_dead_before_the_time_out() -> None:
    for found in every_evidence():
        if judge(found).state == "presumed_dead":
            assert found.heartbeat == "still"
            assert found.watched_seconds >= found.timeout_seconds
