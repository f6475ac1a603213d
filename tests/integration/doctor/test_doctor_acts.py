"""What the doctor does when it is told to: mark orphans, kill what is left of them, give a run up."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from actors.identity import Identity
from elspeth import ids
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, RunInProgress, Temporary
from elspeth.runs import doctor as library
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.locks import AttemptLock, lock_path
from elspeth.runs.operate.client import operate
from tests.kit.pipelines.recorded import RUN, record_run
from tests.kit.processes.held import doctor, elspeth, held_run, killed_run, make


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A run that says it runs, and whose process is no more."""
    path = tmp_path / "runs" / "audit.db"
    record_run(path)
    return path


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def record_child(database: Path, identity: Identity) -> None:
    """Put on record that the run started this process."""
    writer = AuditWriter(database)
    started = (ids.event_id(RUN, 1, 1), 1, "sinks", "started", identity.pid, json.dumps(asdict(identity)), "2026")
    writer.commit(RUN, 1, {"supervision_events": [started]})
    writer.close()


def test_fixing_marks_an_orphan_interrupted_and_it_can_be_resumed(tmp_path: Path) -> None:
    run_id = killed_run(make(tmp_path))
    report = doctor(tmp_path, "--fix", "--reason", "power cut")
    assert (report["exit_code"], report["acts"][0]["message"]) == (0, "marked interrupted")
    assert (report["runs"][0]["status"], report["runs"][0]["state"]) == ("interrupted", "stopped")
    with AuditReader(tmp_path / "runs" / "audit.db") as reader:
        (action,) = reader.operator_actions(run_id)
        assert verify_run(reader, run_id) == []
    assert (action.action, action.reason, action.uid) == ("fix", "power cut", os.getuid())
    assert "doctor" in action.command_line
    assert json.loads(action.detail or "")["verdict"] == "orphaned"
    (tmp_path / "go").touch()
    assert elspeth(tmp_path, "resume", run_id).returncode == 0
    assert (tmp_path / "output" / "out.csv").read_text() == (tmp_path / "data" / "input.csv").read_text()


def test_fixing_leaves_a_run_alone_that_is_alive_or_frozen(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run_id):
        assert doctor(tmp_path, "--fix")["acts"] == []
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        report = doctor(tmp_path, "--fix")
        assert (report["acts"], report["runs"][0]["state"]) == ([], "frozen")
        process.send_signal(signal.SIGCONT)
        given_up = elspeth(tmp_path, "doctor", "--mark-failed", run_id)
        assert given_up.returncode == 3
        assert "is not dead, so it is not given up" in given_up.stderr
        assert f"kill -TERM {process.pid}" in given_up.stderr
        (tmp_path / "go").touch()
        assert process.wait(60) == 0


def test_a_process_left_over_is_found_and_killed_and_that_is_on_record(
    database: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    record_child(database, Identity.of(sleeper.pid))
    (run,) = library.survey_database(database).runs
    told = [finding for finding in run.findings if finding.check == "processes"]
    assert told[0].message.startswith(f"process {sleeper.pid} is left over")
    (act,) = library.fix(database)
    assert act.killed == (sleeper.pid,)
    assert sleeper.wait(10) == -signal.SIGKILL
    with AuditReader(database) as reader:
        assert json.loads(reader.operator_actions(RUN)[0].detail or "")["killed"] == [sleeper.pid]


def test_a_stranger_that_has_the_pid_of_a_child_now_is_not_killed(
    database: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    identity = Identity.of(sleeper.pid)
    record_child(database, replace(identity, start_ticks=identity.start_ticks - 1))
    (act,) = library.fix(database)
    assert (act.killed, sleeper.poll()) == ((), None)


def test_a_run_that_is_only_presumed_dead_is_left_to_a_resume(tmp_path: Path) -> None:
    database = tmp_path / "runs" / "audit.db"
    record_run(database, host="web-9", boot_id="another")
    assert library.fix(database, patience=0) == []
    with AuditReader(database) as reader:
        assert reader.run(RUN).status == "running"


def test_a_dead_run_without_a_checkpoint_can_only_be_started_anew(database: Path) -> None:
    (run,) = library.survey_database(database).runs
    (found,) = [finding for finding in run.findings if finding.check == "checkpoint"]
    assert found.message == f"No checkpoint available: run {RUN} wrote none, so there is nothing to continue from"
    assert run.next_command == found.next_step == "elspeth run --settings pipeline.yaml --execute --force-new"


def test_a_run_that_was_given_up_cannot_be_resumed(database: Path) -> None:
    act = library.mark_failed(database, "latest", reason="the input was wrong")
    assert act.run_id == RUN
    with AuditReader(database) as reader:
        run, (action,) = reader.run(RUN), reader.operator_actions(RUN)
    assert (run.status, run.failure) == ("failed", "given up by an operator: the input was wrong")
    assert run.completed_at is not None
    assert (action.action, action.reason) == ("mark_failed", "the input was wrong")
    refused = elspeth(database.parent.parent, "resume", RUN)
    assert refused.returncode == 1
    assert f"run {RUN} was marked failed: given up by an operator" in refused.stderr
    assert library.survey_database(database).runs == ()


def test_giving_up_twice_changes_nothing(database: Path) -> None:
    library.mark_failed(database, RUN)
    assert library.mark_failed(database, RUN).message.startswith("marked failed already")
    with AuditReader(database) as reader:
        assert len(reader.operator_actions(RUN)) == 1


def test_giving_up_kills_what_is_left_of_the_run(database: Path, sleeper: subprocess.Popen[bytes]) -> None:
    record_child(database, Identity.of(sleeper.pid))
    assert library.mark_failed(database, RUN).killed == (sleeper.pid,)
    assert sleeper.wait(10) == -signal.SIGKILL


def test_a_run_whose_lock_somebody_holds_is_not_given_up(tmp_path: Path) -> None:
    database = tmp_path / "runs" / "audit.db"
    who = record_run(database)
    with AttemptLock.acquire(replace(current(lock_path(database, RUN, 1)), pid=who.pid)):
        with pytest.raises(RunInProgress, match="is not dead"):
            library.mark_failed(database, RUN)
        assert library.fix(database) == []


def test_a_completed_run_is_not_given_up(database: Path) -> None:
    operate(database, run_id=RUN, action="test", reason=None, changes={"status": "completed"})
    with pytest.raises(ElspethError, match="is completed, there is nothing to give up"):
        library.mark_failed(database, RUN)


def test_an_older_schema_that_nothing_leads_forward_from_is_said_so(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 0")
    report = library.survey_database(database)
    assert "schema version 0, which no release ever made" in report.findings[-1].message
    with pytest.raises(ElspethError, match="schema version 0, which no release ever made"):
        library.fix(database)


def test_a_schema_is_not_brought_forward_under_a_living_run(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA user_version = 1")
    with (
        AttemptLock.acquire(current(lock_path(database, RUN, 1))),
        pytest.raises(Temporary, match=f"schema version 1 and is in use, so it is not brought to {schema.VERSION} now"),
    ):
        library.fix(database)
