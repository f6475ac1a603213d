"""The health of what is driven here, on a clock that moves only while somebody waits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.writer import AuditWriter
from elspeth.clock import utc_now
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.locks import AttemptLock, lock_path
from elspeth.runs.views.health import Check, check_health

RUN = "mf3k2a9x"


class Time:
    """A clock that moves only while somebody waits; `then` is done once so many seconds have passed."""

    def __init__(self, at: float = 0.0, then: Any = None) -> None:
        self.now = 0.0
        self._at, self._then = at, then

    def clock(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        if self._then is not None and self.now >= self._at:
            self._then()
            self._then = None


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "audit.db"


def record(database: Path, **identity: Any) -> AuditWriter:
    """A run that this process says it drives."""
    who = replace(current(database.parent / "lock"), **identity)
    run = {
        "run_id": RUN, "settings_path": None, "settings_json": "{}", "settings_hash": "a", "pipeline_hash": "b",
        "working_directory": "/", "elspeth_version": "0", "canonical_version": "1",
    }  # fmt: skip
    writer = AuditWriter(database)
    writer.create_run(run, who.start().to_columns(), {})
    return writer


def ask(database: Path, time: Time) -> list[Check]:
    found = check_health(str(database), {}, Path(), seconds=15, clock=time.clock, pause=time.pause)
    return [check for check in found if check.name == "run"]


def test_a_heartbeat_that_moves_while_we_watch_is_well(database: Path) -> None:
    writer = record(database)
    time = Time(4.9, lambda: writer.heartbeat(RUN, 1, 1, utc_now()))
    assert ask(database, time) == [Check("run", True, f"{RUN} is driven, its heartbeat moves")]
    assert 4.9 <= time.now < 6
    writer.close()


def test_a_heartbeat_that_stands_still_is_wrong(database: Path) -> None:
    writer, time = record(database), Time()
    assert ask(database, time) == [Check("run", False, f"{RUN}: its heartbeat has not moved for 15 s")]
    assert 15 <= time.now < 16
    writer.close()


def test_a_run_that_ends_while_we_watch_is_well(database: Path) -> None:
    writer = record(database)
    time = Time(1, lambda: writer.commit(RUN, 1, {}, {"status": "completed", "completed_at": utc_now()}))
    assert ask(database, time) == [Check("run", True, f"{RUN} ended while it was watched")]
    writer.close()


def test_a_run_that_is_driven_elsewhere_is_not_ours_to_judge(database: Path) -> None:
    record(database, host="web-9").close()
    time = Time()
    assert ask(database, time) == []
    assert time.now == 0


def test_an_orphan_is_no_illness_of_the_container_that_will_resume_it(database: Path) -> None:
    record(database, process_start_ticks=1).close()
    assert [check.well for check in ask(database, Time())] == [True]


def test_a_lock_that_is_held_counts_where_the_process_cannot_be_seen(database: Path) -> None:
    # Another user's process under hidepid, or one of another pid namespace, looks as if it were gone.
    lock = AttemptLock.acquire(current(lock_path(database, RUN, 1)))
    try:
        record(database, process_start_ticks=1, lock_path=str(lock_path(database, RUN, 1))).close()
        time = Time()
        assert ask(database, time) == [Check("run", False, f"{RUN}: its heartbeat has not moved for 15 s")]
        record_again = AuditWriter(database)
        time = Time(4.9, lambda: record_again.heartbeat(RUN, 1, 1, utc_now()))
        assert ask(database, time) == [Check("run", True, f"{RUN} is driven, its heartbeat moves")]
        record_again.close()
    finally:
        lock.release()


def test_a_process_that_let_go_of_its_lock_drives_nothing(database: Path) -> None:
    path = lock_path(database, RUN, 1)
    AttemptLock.acquire(current(path)).release()
    record(database, lock_path=str(path)).close()
    assert ask(database, Time()) == [Check("run", True, f"{RUN} is not driven: see elspeth doctor")]
