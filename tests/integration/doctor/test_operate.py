"""What an operator does to a run from outside it, through a real audit process."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, RunInProgress, RunNotFound, Temporary
from elspeth.runs.liveness.identity import command_line, current
from elspeth.runs.liveness.locks import lock_path
from elspeth.runs.operate.client import migrate, operate
from tests.kit.pipelines.recorded import RUN, record_run


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "runs" / "audit.db"
    record_run(path)
    return path


def test_an_action_is_on_record_with_who_and_why_and_carried_out(database: Path) -> None:
    operate(
        database, run_id=RUN, action="mark_failed", reason="the input was wrong", expected_attempt=1,
        changes={"status": "failed", "failure": "given up", "completed_at": "2026-01-02T03:04:05.678Z"},
    )  # fmt: skip
    with AuditReader(database) as reader:
        run, (action,) = reader.run(RUN), reader.operator_actions(RUN)
        (attempt,) = reader.attempts(RUN)
    assert (run.status, run.failure, run.completed_at) == ("failed", "given up", "2026-01-02T03:04:05.678Z")
    assert (action.action, action.reason, action.uid) == ("mark_failed", "the input was wrong", os.getuid())
    assert action.command_line == command_line()
    assert attempt.end_reason == f"mark_failed by {action.user}"


def test_the_chain_covers_an_action(database: Path) -> None:
    operate(database, run_id=RUN, action="fix", reason=None, changes={"status": "interrupted"}, detail={"killed": [7]})
    with AuditReader(database) as reader:
        assert verify_run(reader, RUN) == []


def test_an_attempt_that_began_meanwhile_is_left_alone(database: Path) -> None:
    with pytest.raises(RunInProgress, match=f"attempt 1 of run {RUN}") as refused:
        operate(database, run_id=RUN, action="fix", reason=None, changes={"status": "failed"}, expected_attempt=0)
    assert refused.value.next_step == f"elspeth status {RUN}"
    with AuditReader(database) as reader:
        assert (reader.run(RUN).status, reader.operator_actions(RUN)) == ("running", [])


def test_a_resume_that_was_prepared_before_a_run_was_given_up_does_not_revive_it(database: Path) -> None:
    who = current(lock_path(database, RUN, 2))
    operate(
        database, run_id=RUN, action="mark_failed", reason=None,
        changes={"status": "failed", "completed_at": "2026-01-02T03:04:05.678Z"},
    )  # fmt: skip
    with closing(AuditWriter(database)) as writer, pytest.raises(ElspethError, match="was given up meanwhile"):
        writer.begin_attempt(RUN, 1, who.start().to_columns(), {})


def test_a_run_that_is_not_there_is_said_so(database: Path) -> None:
    with pytest.raises(RunNotFound):
        operate(database, run_id="aaaaaaaa", action="fix", reason=None, changes={})


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ElspethError, match="no audit database"):
        operate(tmp_path / "audit.db", run_id=RUN, action="fix", reason=None, changes={})
    assert list(tmp_path.iterdir()) == []


def test_a_database_that_another_program_keeps_locked_is_a_temporary_trouble(database: Path) -> None:
    with closing(sqlite3.connect(database)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Temporary, match="locked by another program"):
            operate(database, run_id=RUN, action="fix", reason=None, changes={})


def test_a_writer_that_dies_before_it_answers_leaves_it_open_what_happened(
    database: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CRASH_POINT", f"operator.before_answer:1:{tmp_path / 'mark'}")
    with pytest.raises(ElspethError, match=r"died .SIGKILL.*is not known") as told:
        operate(database, run_id=RUN, action="fix", reason=None, changes={"status": "interrupted"})
    assert told.value.next_step == f"elspeth status {RUN}"
    with AuditReader(database) as reader:
        assert reader.run(RUN).status == "interrupted"


def test_migrating_a_database_that_is_new_enough_changes_nothing(database: Path) -> None:
    before = database.read_bytes()
    migrate(database)
    with AuditReader(database) as reader:
        assert reader.run(RUN).status == "running"
    assert len(database.read_bytes()) == len(before)
