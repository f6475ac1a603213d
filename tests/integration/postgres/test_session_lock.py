"""The lock of an attempt on a PostgreSQL server: who holds it, who is told, and what becomes of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from elspeth.audit.store.place import PostgresPlace, place_of
from elspeth.errors import RunInProgress, Temporary
from elspeth.runs.liveness.evidence import gather
from elspeth.runs.liveness.holding import hold
from elspeth.runs.liveness.identity import AttemptIdentity, current
from elspeth.runs.liveness.judge import Verdict, judge
from elspeth.runs.liveness.session_lock import SessionLock, SessionLockName
from tests.kit.postgres.databases import Database
from tests.kit.processes.waiting import wait_until

RUN = "mf3k2a9x"
FAR = {"host": "far", "boot_id": "another", "process_start_ticks": 1}

HOLDER = """
import sys
from pathlib import Path
from elspeth.audit.store.place import place_of
from elspeth.runs.liveness.holding import hold
from elspeth.runs.liveness.identity import current
lock = hold(place_of(sys.argv[1]), Path(sys.argv[2]), "mf3k2a9x", 1)
me = current(lock.name)
print(me.pid, me.process_start_time, me.process_start_ticks, lock.name, sep="|", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def lock(place: PostgresPlace, tmp_path: Path) -> Iterator[SessionLock]:
    with hold(place, tmp_path / "state", RUN, 1) as held:
        assert isinstance(held, SessionLock)
        yield held


def judged(identity: AttemptIdentity, place: PostgresPlace) -> Verdict:
    return judge(gather(identity, database=place))


def far(lock: SessionLock) -> AttemptIdentity:
    """The attempt as another machine sees it."""
    return replace(current(lock.name), **FAR)  # type: ignore[arg-type]


def test_our_own_attempt_is_alive(lock: SessionLock, place: PostgresPlace) -> None:
    assert judged(current(lock.name), place) == Verdict("alive", f"lock held and pid {os.getpid()} running")


def test_another_machine_sees_who_holds_it(lock: SessionLock, place: PostgresPlace) -> None:
    found = judged(far(lock), place)
    assert found.state == "alive"
    assert f"elspeth {RUN}.1 from 127.0.0.1" in found.sentence


def test_one_that_was_let_go_is_free_for_another_machine(lock: SessionLock, place: PostgresPlace) -> None:
    lock.release()
    assert judged(far(lock), place).state == "orphaned"


def test_it_is_not_given_to_two(lock: SessionLock, place: PostgresPlace, tmp_path: Path) -> None:
    with pytest.raises(RunInProgress) as refused:
        hold(place, tmp_path / "elsewhere", RUN, 1)
    assert any(f"elspeth {RUN}.1" in detail for detail in refused.value.details)
    with hold(place, tmp_path / "elsewhere", RUN, 2):
        pass


def test_runs_of_two_schemas_are_two(lock: SessionLock, postgres: Database, tmp_path: Path) -> None:
    other = place_of(postgres.another_schema("other").url)
    with hold(other, tmp_path / "state", RUN, 1) as second:
        assert second.name != lock.name


def test_the_name_says_which_database_it_is_of(lock: SessionLock, place: PostgresPlace) -> None:
    name = SessionLockName.read(lock.name)
    assert name is not None
    assert str(name) == lock.name
    elsewhere = replace(far(lock), lock_path=str(replace(name, cluster="1")))
    found = gather(elsewhere, database=place)
    assert (found.lock, "another database" in found.lock_detail) == ("unreachable", True)
    assert SessionLockName.read("/app/state/locks/mf3k2a9x.1.lock") is None


def test_a_server_out_of_reach_leaves_the_lock_out_of_reach(lock: SessionLock, place: PostgresPlace) -> None:
    nowhere = PostgresPlace("postgresql://127.0.0.1:1/none")
    found = gather(far(lock), database=nowhere)
    assert found.lock == "unreachable"
    assert "127.0.0.1:1" in found.lock_detail
    with pytest.raises(Temporary):
        hold(nowhere, Path("state"), RUN, 2)


def test_a_killed_process_lets_go_of_it_at_once(place: PostgresPlace, tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLDER, place.whole, str(tmp_path)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        pid, start, ticks, name = holder.stdout.readline().strip().split("|")
        identity = replace(current(name), pid=int(pid), process_start_time=float(start), process_start_ticks=int(ticks))
        assert judged(identity, place).state == "alive"
        holder.send_signal(signal.SIGSTOP)
        wait_until(lambda: judged(identity, place).state == "frozen", "it was seen to be stopped")
        holder.kill()
        holder.wait()
        assert judged(identity, place) == Verdict("orphaned", f"lock free and pid {pid} gone")


def test_it_is_taken_again_after_the_server_was_started_again(
    lock: SessionLock, place: PostgresPlace, postgres: Database
) -> None:
    before = lock._session
    postgres.server.restart("fast")
    wait_until(lambda: lock._session is not before, "another session was begun")
    wait_until(lambda: gather(far(lock), database=place).lock == "held", "the lock was taken again")


def test_a_lost_session_is_no_death_while_its_process_is_seen(
    lock: SessionLock, place: PostgresPlace, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "_again", lambda: False)
    monkeypatch.setattr("elspeth.runs.liveness.evidence.SETTLING_SECONDS", 0.0)
    postgres.ask("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'elspeth mf3%'")
    wait_until(lambda: gather(far(lock), database=place).lock == "free", "the server let go of it")
    assert judged(current(lock.name), place).state == "alive"
    assert judged(far(lock), place).state == "orphaned"


def test_the_server_asks_for_signs_of_life(lock: SessionLock) -> None:
    """Without them a cable that was cut would be found after two hours."""
    found = {
        name: lock._session.execute(f"SHOW {name}").fetchone()
        for name in ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count", "tcp_user_timeout")
    }
    assert found == {
        "tcp_keepalives_idle": ("5",), "tcp_keepalives_interval": ("2",), "tcp_keepalives_count": ("3",),
        "tcp_user_timeout": ("10000",),
    }  # fmt: skip


def test_marks_lie_beside_a_lock_file_in_the_state_folder(lock: SessionLock, tmp_path: Path) -> None:
    assert lock.path.parent.parent == tmp_path / "state" / "locks"
    assert lock.path.is_file()
    lock.discard()
    assert not lock.path.exists()


def test_a_state_folder_that_cannot_be_written_is_done_without(place: PostgresPlace, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with hold(place, tmp_path / "state", RUN, 1) as held:
        assert gather(current(held.name), database=place).lock == "held"
    with pytest.raises(Temporary):
        hold(place, tmp_path / "state", RUN, 1, keeps_files=True)
    assert gather(replace(current(held.name), **FAR), database=place).lock == "free"  # type: ignore[arg-type]
