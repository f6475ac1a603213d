"""What the doctor says of runs whose main process lives, died, stands still, or cannot be seen from here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit.processes.held import doctor, elspeth, held_run, killed_run, make
from tests.kit.processes.waiting import wait_until

ROOT = Path(__file__).parents[3]
OTHER_PIDS = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
OTHER_HOST = ("unshare", "--uts", "sh", "-c", 'hostname web-9 && exec "$@"', "sh")

REUSE = """
import json, subprocess, sys
from pathlib import Path
from tests.kit.processes.held import doctor, elspeth, held_run
with held_run(Path(sys.argv[1])) as (process, run_id):
    pass
while True:
    Path("/proc/sys/kernel/ns_last_pid").write_text(str(process.pid - 1))
    with subprocess.Popen(["sleep", "60"]) as other:
        if other.pid == process.pid:
            print(json.dumps([process.pid, doctor(Path(sys.argv[1]).parent)]))
        other.kill()
    if other.pid == process.pid:
        break
"""


def needs(*wrapper: str) -> None:
    """Skip where this user may not make the namespace."""
    if subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode:
        pytest.skip(f"this user may not: {' '.join(wrapper[:2])}")


def only(report: dict[str, Any]) -> dict[str, Any]:
    """The one unfinished run of a report."""
    (run,) = report["runs"]
    return dict(run)


def change(database: Path, *statements: str) -> None:
    """Change what stands in a database, behind the back of all of them."""
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def copied(folder: Path, to: Path) -> Path:
    """A copy of a folder's database, without its locks."""
    (to / "runs").mkdir(parents=True)
    for file in (folder / "runs").glob("audit.db*"):
        shutil.copy(file, to / "runs")
    return to


def test_a_run_whose_main_process_was_killed_is_orphaned(tmp_path: Path) -> None:
    run_id = killed_run(make(tmp_path))
    report = doctor(tmp_path)
    run = only(report)
    assert (report["exit_code"], run["state"], run["wrong"]) == (1, "orphaned", True)
    assert run["evidence"] == f"lock free and pid {run['pid']} gone"
    assert run["checkpoint"]["rows"] > 0
    assert run["checkpoint"]["age_seconds"] > 0
    assert run["next_command"] == f"elspeth resume {run_id}"
    assert {finding["level"] for finding in run["findings"]} <= {"ok", "note"}


def test_a_run_that_is_driven_is_alive_and_nothing_is_wrong(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run_id):
        report = doctor(tmp_path)
        run = only(report)
        assert (report["exit_code"], run["state"], run["wrong"]) == (0, "alive", False)
        assert run["evidence"] == f"lock held and pid {process.pid} running"
        assert run["next_command"] == f"elspeth status {run_id}"
        (tmp_path / "go").touch()
        assert process.wait(60) == 0


def test_a_pid_that_another_process_has_now_is_no_sign_of_life(tmp_path: Path) -> None:
    needs(*OTHER_PIDS)
    settings = make(tmp_path)
    done = subprocess.run(
        [*OTHER_PIDS, sys.executable, "-c", REUSE, settings], cwd=ROOT, capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=600,
    )  # fmt: skip
    pid, report = json.loads(done.stdout)
    run = only(report)
    assert (run["pid"], run["state"]) == (pid, "orphaned")
    assert run["evidence"] == f"lock free and pid {pid} exists but started later than the run"


def test_a_run_in_another_pid_namespace_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    needs(*OTHER_PIDS)
    with held_run(make(tmp_path), *OTHER_PIDS):
        run = only(doctor(tmp_path))
        assert run["state"] == "alive"
        assert run["evidence"].startswith(f"lock held by another pid namespace (pid {run['pid']} of ")
        assert run["evidence"].endswith("heartbeat moving")
    report = wait_until(lambda: (found := doctor(tmp_path))["exit_code"] and found)
    assert only(report)["state"] == "orphaned"
    assert "nobody of another pid namespace" in only(report)["evidence"]


def test_a_run_under_another_host_name_is_alive_until_it_is_killed(tmp_path: Path) -> None:
    needs("unshare", "--uts")
    with held_run(make(tmp_path), *OTHER_HOST):
        run = only(doctor(tmp_path))
        assert (run["host"], run["state"]) == ("web-9", "alive")
        assert run["evidence"].startswith("lock held by another pid namespace (pid")
    report = doctor(tmp_path)
    assert (report["exit_code"], only(report)["state"]) == (1, "orphaned")


def test_where_lock_and_process_are_out_of_reach_the_heartbeat_tells(tmp_path: Path) -> None:
    needs("unshare", "--uts")
    with held_run(make(tmp_path), *OTHER_HOST) as (_, run_id):
        (tmp_path / "runs" / "locks" / f"{run_id}.1.lock").unlink()
        report = doctor(tmp_path)
        run = only(report)
        assert run["state"] == "alive"
        assert run["evidence"].startswith("heartbeat of host web-9 is moving (lock out of reach:")
        assert "watching the heartbeat of web-9" in report["stderr"]
    run = only(doctor(tmp_path, "--patience", "1"))
    assert run["state"] == "unknown"
    assert run["evidence"].startswith("heartbeat of host web-9 has not moved for 1 s, 60 s are needed")


@pytest.mark.campaign
def test_a_heartbeat_that_stands_still_for_a_minute_is_presumed_to_mean_death(tmp_path: Path) -> None:
    needs("unshare", "--uts")
    with held_run(make(tmp_path), *OTHER_HOST) as (_, run_id):
        (tmp_path / "runs" / "locks" / f"{run_id}.1.lock").unlink()
    report = doctor(tmp_path, "--fix")
    assert (only(report)["state"], report["acts"]) == ("presumed_dead", [])


def test_a_host_that_was_rebooted_holds_no_run_any_more(tmp_path: Path) -> None:
    run_id = killed_run(make(tmp_path / "here"))
    database = tmp_path / "here" / "runs" / "audit.db"
    change(database, "UPDATE run_attempts SET boot_id = 'before', container_id = NULL")
    host = os.uname().nodename
    assert only(doctor(tmp_path / "here"))["evidence"] == f"lock free and host {host} was rebooted since"
    change(database, f"UPDATE run_attempts SET lock_path = '/nowhere/{run_id}.1.lock'")
    run = only(doctor(copied(tmp_path / "here", tmp_path / "there"), "--patience", "0"))
    assert run["state"] == "orphaned"
    assert run["evidence"].startswith(f"host {host} was rebooted since (lock out of reach: ")


def test_a_main_process_that_was_stopped_is_frozen_until_it_goes_on(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run_id):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        report = doctor(tmp_path)
        run = only(report)
        assert (report["exit_code"], run["state"]) == (1, "frozen")
        assert run["evidence"] == f"lock held, but pid {process.pid} is stopped"
        assert run["next_command"] == f"elspeth resume {run_id} --take-over"
        assert f"to let it go on: kill -CONT {process.pid}" in run["findings"][0]["details"]
        process.send_signal(signal.SIGCONT)
        assert only(doctor(tmp_path))["state"] == "alive"


@pytest.mark.parametrize("alive", [True, False])
def test_setting_the_clock_back_an_hour_changes_no_verdict(tmp_path: Path, alive: bool) -> None:
    def an_hour_ahead() -> None:
        change(
            tmp_path / "runs" / "audit.db",
            "UPDATE run_attempts SET process_start_time = process_start_time + 3600",
            "UPDATE run_attempts SET started_at = '2999-01-01T00:00:00Z', heartbeat_at = '2999-01-01T00:00:00Z'",
            "UPDATE checkpoints SET created_at = '2999-01-01T00:00:00Z'",
        )

    with held_run(make(tmp_path)) as (process, _):
        if alive:
            an_hour_ahead()
            run = only(doctor(tmp_path))
            assert run["evidence"] == f"lock held and pid {process.pid} running"
    if not alive:
        an_hour_ahead()
        run = only(doctor(tmp_path))
        assert run["evidence"] == f"lock free and pid {run['pid']} gone"
        assert run["checkpoint"]["age_seconds"] < 0


def test_of_two_runs_at_once_each_has_its_own_verdict(tmp_path: Path) -> None:
    dead = killed_run(make(tmp_path, name="one"))
    with held_run(make(tmp_path, name="two")) as (_, living):
        report = doctor(tmp_path)
    verdicts = {run["run_id"]: run["state"] for run in report["runs"]}
    assert verdicts == {dead: "orphaned", living: "alive"}
    assert report["exit_code"] == 1


def test_a_finished_run_is_not_in_the_table(tmp_path: Path) -> None:
    settings = make(tmp_path)
    (tmp_path / "go").touch()
    assert elspeth(tmp_path, "run", "--settings", settings.name, "--execute").returncode == 0
    report = doctor(tmp_path)
    assert (report["runs"], report["healthy"], report["exit_code"]) == ([], True, 0)
