"""What would stop a resume, found by the doctor before anybody tries one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.runs.doctor.database import check_database
from elspeth.runs.doctor.findings import Findings
from tests.kit.processes.held import COMMAND, committed, doctor, elspeth, held_run, killed_run, make
from tests.kit.processes.tree import pending
from tests.kit.processes.waiting import wait_until

READ_ONLY = ("unshare", "--mount", "sh", "-c", 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"')
SMALL_DISK = ("unshare", "--mount", "sh", "-c",
              'mount -t tmpfs -o size=40m none "$0/runs" && cp -a "$0/kept/." "$0/runs" && exec "$@"')  # fmt: skip
SMALL_DISK_OF_THE_JOURNAL = ("unshare", "--mount", "sh", "-c",
                             'mount -t tmpfs -o size=40m none "$0/journal" && exec "$@"')  # fmt: skip
JOURNAL = """
landscape: {dump_to_jsonl: true, dump_to_jsonl_path: journal/audit.jsonl}
"""


def wrong(report: dict[str, Any], check: str) -> dict[str, Any]:
    """The one thing that is wrong in this check, of the database or of a run."""
    found = [*report["findings"], *(finding for run in report["runs"] for finding in run["findings"])]
    (finding,) = [one for one in found if one["level"] == "wrong"]
    assert (finding["check"], report["exit_code"]) == (check, 1)
    return dict(finding)


def under(wrapper: tuple[str, ...], folder: Path, *words: str) -> dict[str, Any]:
    """What the doctor says in a mount namespace in which something was done to the folder."""
    done = subprocess.run(
        [*wrapper, folder, COMMAND, "doctor", "--json", *words], cwd=folder, capture_output=True, text=True, check=False
    )
    if not done.stdout:
        pytest.skip(f"this user may not mount: {done.stderr}")
    return {**json.loads(done.stdout), "exit_code": done.returncode}


@pytest.fixture
def stopped(tmp_path: Path) -> Path:
    """A folder with a run that was stopped in order, halfway; its database is one file."""
    settings = make(tmp_path)
    # On a busy machine the second signal may come late: the row in hand is waited for until then.
    with held_run(settings, ELSPETH_SUPERVISOR__SHUTDOWN_SECONDS="120") as (process, _):
        process.send_signal(signal.SIGINT)
        wait_until(lambda: not pending(process.pid, signal.SIGINT))  # they may overtake each other on the way
        process.send_signal(signal.SIGTERM)  # the second does not wait for the row in hand
        assert process.wait(60) == 143
    return tmp_path


def test_a_run_that_was_stopped_in_order_waits_and_nothing_is_wrong(stopped: Path) -> None:
    report = doctor(stopped)
    (run,) = report["runs"]
    assert (report["exit_code"], run["status"], run["state"], run["wrong"]) == (0, "interrupted", "stopped", False)
    assert "stopped by SIGTERM" in run["evidence"]


def test_what_a_resume_would_cut_off_is_told(tmp_path: Path) -> None:
    killed_run(make(tmp_path))
    output = tmp_path / "output" / "out.csv"
    with closing(sqlite3.connect(tmp_path / "runs" / "audit.db")) as connection:
        (message,) = connection.execute(
            "SELECT message FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1"
        ).fetchone()
    committed_bytes = json.loads(message)["sinks"]["output"]["output"]["size"]
    with output.open("ab") as file:
        file.truncate(committed_bytes)
        file.seek(committed_bytes)
        file.write(b"1,2\n")
    (run,) = doctor(tmp_path)["runs"]
    (told,) = [finding for finding in run["findings"] if finding["check"] == "output" and finding["level"] == "note"]
    assert told["message"] == "sink output: 4 bytes behind the last commit will be cut off"


def test_a_source_that_was_changed_is_found(stopped: Path) -> None:
    data = stopped / "data" / "input.csv"
    data.write_bytes(data.read_bytes().replace(b"0,0\n", b"0,9\n", 1))
    assert "was changed" in wrong(doctor(stopped), "source")["message"]


def test_a_source_that_is_gone_is_found(stopped: Path) -> None:
    (stopped / "data" / "input.csv").unlink()
    assert "cannot be read any more" in wrong(doctor(stopped), "source")["message"]


def test_an_output_that_is_shorter_than_recorded_is_found(stopped: Path) -> None:
    os.truncate(stopped / "output" / "out.csv", 3)
    assert "was shortened" in wrong(doctor(stopped), "output")["message"]


def test_plugin_code_that_was_changed_is_found(stopped: Path) -> None:
    with (stopped / "hold.py").open("a") as file:
        file.write("\n# a change\n")
    finding = wrong(doctor(stopped), "code")
    assert finding["details"] == ["hold_1: plugin code changed (version 1.0 then, 1.0 now)"]
    assert finding["next_step"].endswith("--accept-changed-code")


def test_plugin_files_of_two_folders_do_not_get_into_each_other_s_way(stopped: Path) -> None:
    other = stopped / "other"
    make(other, name="second")
    environ = {"ELSPETH_LANDSCAPE__URL": f"sqlite:///{stopped / 'runs' / 'audit.db'}"}
    known = {run["run_id"] for run in doctor(stopped)["runs"]}
    with (other / "log").open("wb") as log:
        process = subprocess.Popen(
            [COMMAND, "run", "--settings", "second.yaml", "--execute"], cwd=other, env={**os.environ, **environ},
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_until(lambda: process.poll() is not None or committed(stopped, known))
        assert process.poll() is None, (other / "log").read_text()
    finally:
        process.send_signal(signal.SIGINT)
        process.terminate()
        process.wait()
    report = doctor(stopped)
    assert (len(report["runs"]), report["healthy"]) == (2, True), report


def test_a_variable_that_is_no_longer_set_is_named(tmp_path: Path) -> None:
    run_id = killed_run(make(tmp_path, key="${HOLD_KEY}"), HOLD_KEY="k-1")
    finding = wrong(doctor(tmp_path), "settings")
    assert "the variable HOLD_KEY is not set" in finding["details"][0]
    assert finding["next_step"] == f"mend what is listed, then: elspeth resume {run_id}"
    (run,) = doctor(tmp_path, HOLD_KEY="k-1")["runs"]
    assert "settings" in {one["check"] for one in run["findings"] if one["level"] == "ok"}


def test_a_working_directory_that_is_elsewhere_is_found(
    stopped: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = tmp_path_factory.mktemp("moved") / "audit.db"
    shutil.copy(stopped / "runs" / "audit.db", database)
    shutil.rmtree(stopped)
    finding = wrong(doctor(database.parent, "--database", "audit.db"), "working directory")
    assert finding["next_step"].endswith("--working-directory DIR")


def test_a_damaged_database_is_found(stopped: Path) -> None:
    database = stopped / "runs" / "audit.db"
    with closing(sqlite3.connect(database)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'state_records'").fetchone()
        (page,) = connection.execute("PRAGMA page_size").fetchone()
    data = bytearray(database.read_bytes())
    data[(root - 1) * page : (root - 1) * page + 8] = b"\xff" * 8
    database.write_bytes(data)
    report = doctor(stopped)
    assert report["exit_code"] == 1
    assert "damaged" in report["findings"][0]["message"]


def test_a_table_that_somebody_changed_is_found(stopped: Path) -> None:
    with closing(sqlite3.connect(stopped / "runs" / "audit.db")) as connection, connection:
        connection.execute("ALTER TABLE runs ADD COLUMN note TEXT")
    assert wrong(doctor(stopped), "schema")["details"] == ["table runs was altered"]


def test_a_schema_of_a_newer_version_is_found(stopped: Path) -> None:
    with closing(sqlite3.connect(stopped / "runs" / "audit.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "has schema version 99" in wrong(doctor(stopped), "schema")["message"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_side_files_of_another_owner_are_found(tmp_path: Path) -> None:
    killed_run(make(tmp_path))
    database = tmp_path / "runs" / "audit.db"
    side = database.with_name("audit.db-wal")
    os.chown(side, 65534, 65534)
    findings = Findings()
    assert check_database(database, findings)
    (finding,) = [one for one in findings if one.level == "wrong"]
    assert finding.message.startswith("audit.db-wal belongs to ")
    assert finding.next_step == f"chown 0 {side}"


def test_a_read_only_mount_is_told_and_what_could_not_be_done(stopped: Path) -> None:
    with closing(sqlite3.connect(stopped / "runs" / "audit.db")) as connection, connection:
        connection.execute("UPDATE runs SET status = 'running'")
    report = under(READ_ONLY, stopped, "--fix")
    (finding,) = report["findings"][-1:]
    assert (finding["check"], finding["level"], report["exit_code"]) == ("writable", "wrong", 1)
    assert any("lies on a read-only file system" in detail for detail in finding["details"])
    (run,) = report["runs"]
    assert (run["state"], run["checkpoint"]["rows"] > 0) == ("orphaned", True)
    (act,) = report["acts"]
    assert (act["done"], act["message"]) == (False, "could not be fixed")
    assert "cannot be" in act["error"]


def test_a_read_only_mount_with_side_files_is_told_too(tmp_path: Path) -> None:
    killed_run(make(tmp_path))
    report = under(READ_ONLY, tmp_path)
    assert (report["runs"][0]["state"], report["findings"][-1]["check"]) == ("orphaned", "writable")
    assert "side files" not in {finding["check"] for finding in report["findings"]}
    (tmp_path / "runs" / "audit.db-shm").unlink()
    report = under(READ_ONLY, tmp_path)
    assert report["exit_code"] == 1
    assert "was not left in order, and its folder cannot be written to" in report["findings"][0]["message"]


def test_a_disk_that_is_nearly_full_is_found(stopped: Path) -> None:
    shutil.copytree(stopped / "runs", stopped / "kept")
    finding = wrong(under(SMALL_DISK, stopped), "disk space")
    assert " MiB left, about " in finding["message"]


def test_a_nearly_full_disk_of_the_journal_is_found(tmp_path: Path) -> None:
    settings = make(tmp_path)
    settings.write_text(settings.read_text() + JOURNAL)
    killed_run(settings)
    finding = wrong(under(SMALL_DISK_OF_THE_JOURNAL, tmp_path), "disk space")
    assert finding["message"].startswith(f"the disk of {tmp_path / 'journal'} has ")


def test_what_the_doctor_prints_ends_in_the_command_to_type(stopped: Path) -> None:
    done = elspeth(stopped, "doctor", "--database", "runs/audit.db")
    run_id = doctor(stopped)["runs"][0]["run_id"]
    database = stopped / "runs" / "audit.db"
    assert f"  Next: elspeth resume {run_id} --database {database}" in done.stdout.splitlines()
    assert done.stdout.splitlines()[-1] == "Nothing is wrong. 1 run can be resumed."


def test_looking_changes_nothing(stopped: Path) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in stopped.rglob("*") if path.is_file()}

    before = contents()
    doctor(stopped)
    assert contents() == before
