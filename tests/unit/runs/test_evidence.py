"""How evidence about an attempt is collected."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elspeth.runs.liveness import evidence, locks
from elspeth.runs.liveness.identity import AttemptIdentity, current
from elspeth.runs.liveness.judge import Evidence, judge


@pytest.fixture
def me(tmp_path: Path) -> AttemptIdentity:
    return current(tmp_path / "locks" / "mf3k2a9x.1.lock")


@pytest.fixture
def lock(me: AttemptIdentity) -> Iterator[locks.AttemptLock]:
    with locks.AttemptLock.acquire(me) as held:
        yield held


def test_our_own_attempt_is_alive(me: AttemptIdentity, lock: locks.AttemptLock) -> None:
    found = evidence.gather(me)
    assert (found.lock, found.process, found.same_host, found.same_boot) == ("held", "running", True, True)


def test_a_lock_that_was_let_go_is_free(me: AttemptIdentity, lock: locks.AttemptLock) -> None:
    lock.release()
    assert evidence.gather(me).lock == "free"


def test_a_pid_that_belongs_to_a_later_process_is_reused(me: AttemptIdentity) -> None:
    earlier = replace(me, process_start_ticks=me.process_start_ticks - 1)
    assert evidence.gather(earlier).process == "reused"


def test_moving_the_clock_makes_no_other_process(me: AttemptIdentity) -> None:
    assert evidence.gather(replace(me, process_start_time=me.process_start_time - 3600)).process == "running"


def test_a_pid_that_nobody_has_is_gone(me: AttemptIdentity) -> None:
    assert evidence.gather(replace(me, pid=2**22 + 1)).process == "gone"


@pytest.mark.parametrize("change", [{"boot_id": "x"}, {"pid_namespace": "pid:[1]"}, {"host": "x"}])
def test_a_pid_of_another_boot_namespace_or_host_cannot_be_seen(me: AttemptIdentity, change: dict[str, str]) -> None:
    found = evidence.gather(replace(me, **change))  # type: ignore[arg-type]
    assert found.process == "unseen"
    assert found.same_boot == ("boot_id" not in change)
    assert found.same_host == ("host" not in change)


def test_the_lock_is_found_beside_the_database_where_the_recorded_path_is_another_container_s(
    me: AttemptIdentity, lock: locks.AttemptLock, tmp_path: Path
) -> None:
    recorded = replace(me, lock_path="/app/state/locks/mf3k2a9x.1.lock")
    assert evidence.gather(recorded).lock == "unreachable"
    assert evidence.gather(recorded, database=tmp_path / "audit.db").lock == "held"


def test_a_copy_of_the_state_folder_says_nothing(me: AttemptIdentity, lock: locks.AttemptLock, tmp_path: Path) -> None:
    copied = tmp_path / "elsewhere"
    shutil.copytree(tmp_path / "locks", copied / "locks")
    found = evidence.gather(replace(me, lock_path="/nowhere/mf3k2a9x.1.lock"), database=copied / "audit.db")
    assert found.lock == "unreachable"


def test_a_free_lock_on_a_network_volume_proves_nothing_about_another_machine(
    me: AttemptIdentity, lock: locks.AttemptLock
) -> None:
    lock.release()
    assert evidence.gather(me, network=lambda path: "nfs4").lock == "free"
    other = evidence.gather(replace(me, boot_id="x", host="web-2"), network=lambda path: "nfs4")
    assert (other.lock, judge(other).state) == ("unreachable", "unknown")


class Time:
    """A clock that moves only while somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def far(me: AttemptIdentity) -> Evidence:
    return evidence.gather(replace(me, boot_id="x", host="web-2"))


def test_watching_ends_when_the_heartbeat_moves(far: Evidence) -> None:
    time = Time()
    found = evidence.watch(far, lambda: 7 + (time.now >= 3), clock=time.clock, pause=time.pause)
    assert (found.heartbeat, found.watched_seconds) == ("moving", 3.0)
    assert judge(found).state == "alive"


def test_watching_ends_at_the_time_out(far: Evidence) -> None:
    time = Time()
    found = evidence.watch(far, lambda: 7, seconds=20.2, clock=time.clock, pause=time.pause)
    assert found.heartbeat == "still"
    assert found.watched_seconds == pytest.approx(20.2)
    assert judge(found).state == "presumed_dead"


def test_only_what_lock_and_process_leave_open_needs_watching(far: Evidence, me: AttemptIdentity) -> None:
    assert evidence.needs_watching(far)
    assert not evidence.needs_watching(evidence.gather(me))
    assert not evidence.needs_watching(replace(far, lock="free"))


def test_this_process_is_still_there(me: AttemptIdentity) -> None:
    assert me.pid == os.getpid()
    assert me.process.state() == "alive"


@pytest.mark.parametrize(
    ("change", "kind", "state"),
    [
        ({"boot_id": "x"}, None, "free"),
        ({"boot_id": "x"}, "nfs4", "unreachable"),
        ({}, None, "unreachable"),
    ],
)
def test_a_lock_whose_text_a_power_cut_took_is_free_on_a_disk_of_ours_after_a_reboot(
    me: AttemptIdentity, lock: locks.AttemptLock, change: dict[str, str], kind: str | None, state: str
) -> None:
    lock.release()
    lock.path.write_bytes(b"")
    assert evidence.gather(replace(me, **change), network=lambda path: kind).lock == state  # type: ignore[arg-type]


def test_an_attempt_of_an_earlier_boot_of_this_machine_is_not_watched(me: AttemptIdentity) -> None:
    earlier = replace(evidence.gather(replace(me, boot_id="x")), in_container=False)
    assert earlier.lock == "unreachable"
    assert not evidence.needs_watching(earlier)
    assert judge(earlier).state == "orphaned"
    assert evidence.needs_watching(replace(earlier, in_container=True))
    assert evidence.needs_watching(replace(earlier, lock="held"))
