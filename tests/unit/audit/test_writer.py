"""The writer: one transaction a call, fenced by the attempt, nothing half done, every refusal in words."""

from __future__ import annotations

import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth import ids
from elspeth.audit.chain.records import COLUMNS
from elspeth.audit.writer import AuditWriter
from elspeth.errors import (
    DuplicateRow,
    ElspethError,
    RunInProgress,
    RunNotFound,
    TakenOver,
    Temporary,
)
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS, beginning, rows, write_run


def ask(path: Path, query: str, *values: Any) -> list[Any]:
    connection = sqlite3.connect(path)
    found = connection.execute(query, values).fetchall()
    connection.close()
    return found


@pytest.fixture
def begun(writer: AuditWriter) -> AuditWriter:
    assert writer.create_run(RUN_COLUMNS, ATTEMPT, beginning()) == 0
    return writer


def test_commits_are_numbered_per_run(begun: AuditWriter) -> None:
    assert begun.commit(RUN, 1, rows(0, 3)) == 1
    assert begun.commit(RUN, 1, rows(3, 5, number=2)) == 2
    other = {**RUN_COLUMNS, "run_id": "other123"}
    begun.create_run(other, ATTEMPT, {})
    assert begun.commit("other123", 1, {}) == 1


def test_records_of_several_producers_are_written_in_key_order(begun: AuditWriter, path: Path) -> None:
    first, second = rows(0, 3), rows(3, 6)
    mixed = {table: second[table] + first[table] for table in first}
    mixed["checkpoints"] = first["checkpoints"]
    begun.commit(RUN, 1, mixed)
    assert ask(path, "SELECT row_index FROM rows") == [(index,) for index in range(6)]


def test_every_column_of_a_layout_exists_in_its_table(begun: AuditWriter, path: Path) -> None:
    for table, columns in COLUMNS.items():
        found = [row[1] for row in ask(path, f"PRAGMA table_info({table})")]
        assert set(found) - {"row_index"} == {*columns, "run_id", "commit_no"} - {"row_index"}
        assert [name for name in found if name in columns] == list(columns)


def test_a_row_recorded_twice_is_refused_and_named_and_nothing_of_the_commit_stays(
    begun: AuditWriter, path: Path
) -> None:
    begun.commit(RUN, 1, rows(0, 3))
    records = rows(3, 6, number=2)
    records["rows"].append(rows(1, 2)["rows"][0])
    with pytest.raises(DuplicateRow, match=r"Duplicate row_id: row mf3k2a9x-000000001 is recorded already"):
        begun.commit(RUN, 1, records)
    assert ask(path, "SELECT count(*) FROM rows") == [(3,)]
    assert ask(path, "SELECT max(commit_no) FROM commits") == [(1,)]
    assert begun.commit(RUN, 1, rows(3, 6, number=2)) == 2


def test_a_row_that_stands_twice_in_one_commit_is_named(begun: AuditWriter) -> None:
    records = rows(0, 3)
    records["rows"].append(records["rows"][1])
    with pytest.raises(DuplicateRow, match="row mf3k2a9x-000000001"):
        begun.commit(RUN, 1, records)


@pytest.mark.parametrize(
    ("table", "column", "value", "words"),
    [
        ("rows", "row_index", "3", "does not fit table rows"),
        ("token_outcomes", "is_terminal", True, "does not fit table token_outcomes"),
        ("rows", "created_at", None, "does not fit table rows"),
        ("checkpoints", "message", None, "NOT NULL constraint failed: checkpoints.message"),
        ("node_states", "token_id", "mf3k2a9x-000000009", "is no id of what happened to token"),
        ("rows", "row_id", "zzzzzzzz-000000001", "does not belong to run mf3k2a9x"),
    ],
)
def test_a_record_that_would_not_read_back_as_it_was_chained_is_refused(
    begun: AuditWriter, table: str, column: str, value: Any, words: str
) -> None:
    records = rows(0, 1)
    record = list(records[table][0])
    record[COLUMNS[table].index(column)] = value
    records[table][0] = tuple(record)
    with pytest.raises(ElspethError, match=words):
        begun.commit(RUN, 1, records)


def test_an_unknown_table_is_refused(begun: AuditWriter) -> None:
    with pytest.raises(ElspethError, match="no audit table row_data"):
        begun.commit(RUN, 1, {"row_data": [()]})


@pytest.mark.parametrize("run", ["", "short", "mf3k2a9'", "MF3K2A9X", "mf3k2a9xx", "mf3k2a9x\n"])
def test_an_id_that_could_not_stand_in_a_statement_is_refused(writer: AuditWriter, run: str) -> None:
    with pytest.raises(ElspethError, match="is not a run id"):
        writer.create_run({**RUN_COLUMNS, "run_id": run}, ATTEMPT, {})


def test_a_commit_of_an_earlier_attempt_is_refused_naming_the_later_one(begun: AuditWriter, path: Path) -> None:
    begun.begin_attempt(RUN, 1, {**ATTEMPT, "pid": 77}, {})
    for call in (
        lambda: begun.commit(RUN, 1, rows(0, 1)),
        lambda: begun.heartbeat(RUN, 1, 1, NOW),
        lambda: begun.confirm(RUN, 1),
    ):
        with pytest.raises(TakenOver, match="taken over by attempt 2; this is attempt 1") as caught:
            call()
        assert "process 77 on web-1" in caught.value.details[0]
    assert ask(path, "SELECT count(*) FROM rows") == [(0,)]
    assert begun.commit(RUN, 2, rows(0, 1)) == 2


def test_a_take_over_answers_the_latest_checkpoint_and_ends_the_attempt_before(begun: AuditWriter, path: Path) -> None:
    begun.commit(RUN, 1, rows(0, 3))
    begun.commit(RUN, 1, rows(3, 9, number=2))
    number, checkpoint = begun.begin_attempt(RUN, 1, ATTEMPT, {})
    assert number == 2
    assert checkpoint is not None
    assert (checkpoint["sequence_number"], json.loads(checkpoint["message"])["rows"]) == (2, 9)
    assert ask(path, "SELECT attempt, end_reason FROM run_attempts") == [(1, "taken over by attempt 2"), (2, None)]
    assert begun.confirm(RUN, 2) == (3, checkpoint)


def test_of_two_attempts_that_expect_the_same_one_wins(begun: AuditWriter, path: Path) -> None:
    won: list[int] = []
    lost: list[Exception] = []
    start = threading.Barrier(4)

    def take_over() -> None:
        writer = AuditWriter(path)
        start.wait()
        try:
            won.append(writer.begin_attempt(RUN, 1, ATTEMPT, {})[0])
        except RunInProgress as error:
            lost.append(error)
        writer.close()

    threads = [threading.Thread(target=take_over) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [2]
    assert len(lost) == 3
    assert "Run already in progress" in str(lost[0])


def test_a_run_ends_in_the_commit_that_says_so_and_takes_no_more(begun: AuditWriter, path: Path) -> None:
    begun.commit(RUN, 1, rows(0, 1), {"status": "completed", "completed_at": NOW, "end_reason": "end of source"})
    assert ask(path, "SELECT status, completed_at FROM runs") == [("completed", NOW)]
    assert ask(path, "SELECT end_reason FROM run_attempts") == [("end of source",)]
    assert ("completed",) in ask(path, "SELECT event FROM supervision_events WHERE child IS NULL")
    with pytest.raises(TakenOver, match="the run is marked completed"):
        begun.commit(RUN, 1, rows(1, 2))
    with pytest.raises(ElspethError, match="is completed, there is nothing to resume"):
        begun.begin_attempt(RUN, 1, ATTEMPT, {})


def test_a_failed_run_can_be_taken_up_again(begun: AuditWriter, path: Path) -> None:
    begun.commit(RUN, 1, {}, {"status": "failed", "failure": "it broke"})
    assert begun.begin_attempt(RUN, 1, ATTEMPT, {})[0] == 2
    assert ask(path, "SELECT status, failure FROM runs") == [("running", None)]


def test_an_operator_who_marks_a_run_failed_fences_it_off(begun: AuditWriter, path: Path) -> None:
    action = {"run_id": RUN, "user": "ada", "uid": 1, "command_line": "elspeth doctor", "reason": "stuck"}
    with pytest.raises(RunInProgress):
        begun.operator_action(action="mark_failed", changes={"status": "failed"}, expected_attempt=9, **action)
    begun.operator_action(action="mark_failed", changes={"status": "failed"}, expected_attempt=1, **action)
    assert ask(path, "SELECT action, user, reason FROM operator_actions") == [("mark_failed", "ada", "stuck")]
    assert ask(path, "SELECT end_reason FROM run_attempts") == [("mark_failed by ada",)]
    with pytest.raises(TakenOver, match="marked failed"):
        begun.commit(RUN, 1, rows(0, 1))


def test_what_never_changes_cannot_be_changed_by_an_operator(begun: AuditWriter) -> None:
    with pytest.raises(ElspethError, match=r"runs\.settings_json never changes"):
        begun.operator_action(
            run_id=RUN, action="x", user="u", uid=0, command_line="c", reason=None, changes={"settings_json": "{}"}
        )


def test_a_run_that_is_not_there_is_said_to_be_missing(writer: AuditWriter) -> None:
    with pytest.raises(RunNotFound):
        writer.commit(RUN, 1, {})


def test_a_run_whose_chain_was_removed_is_gone_on_with_by_nobody(begun: AuditWriter, path: Path) -> None:
    begun.commit(RUN, 1, rows(0, 3))
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("DELETE FROM commits")
        connection.commit()
    note = {"user": "ada", "uid": 1000, "command_line": "elspeth doctor", "reason": "why"}
    for go_on in (
        lambda: begun.confirm(RUN, 1),
        lambda: begun.commit(RUN, 1, rows(3, 5, number=2)),
        lambda: begun.begin_attempt(RUN, 1, ATTEMPT, {}),
        lambda: begun.operator_action(run_id=RUN, action="note", **note),
    ):
        with pytest.raises(ElspethError, match="has no commits: its chain was removed"):
            go_on()
    assert ask(path, "SELECT count(*) FROM rows") == [(3,)]
    assert ask(path, "SELECT attempt FROM runs") == [(1,)]


def test_a_run_id_is_used_once(begun: AuditWriter) -> None:
    with pytest.raises(RunInProgress):
        begun.create_run(RUN_COLUMNS, ATTEMPT, {})


def test_a_running_run_is_not_purged(begun: AuditWriter) -> None:
    with pytest.raises(RunInProgress):
        begun.purge(run_id=RUN, user="u", uid=0, command_line="c")


def test_a_database_locked_by_another_program_is_temporary(
    begun: AuditWriter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun._connection.execute("PRAGMA busy_timeout = 1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Temporary, match="locked by another program"):
        begun.commit(RUN, 1, rows(0, 1))
    other.execute("ROLLBACK")
    other.close()
    assert begun.commit(RUN, 1, rows(0, 1)) == 1


def test_a_full_disk_is_temporary_and_keeps_what_was_committed(begun: AuditWriter, path: Path) -> None:
    begun.commit(RUN, 1, rows(0, 5))
    pages = begun._connection.execute("PRAGMA page_count").fetchone()[0]
    begun._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(Temporary, match="disk is full"):
        begun.commit(RUN, 1, rows(5, 500, number=2))
    begun._connection.execute("PRAGMA max_page_count = 1000000")
    assert ask(path, "SELECT count(*) FROM rows") == [(5,)]
    assert begun.commit(RUN, 1, rows(5, 500, number=2)) == 2


def test_a_writer_leaves_one_file_behind(path: Path) -> None:
    write_run(path)
    assert [found.name for found in path.parent.iterdir()] == ["audit.db"]


def test_a_row_takes_less_than_1200_bytes_at_the_threshold_shape(path: Path) -> None:
    writer = AuditWriter(path)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    before = path.stat().st_size
    for number in range(4):
        writer.commit(RUN, 1, rows(number * 500, number * 500 + 500, number=number + 1))
    writer.close()
    assert (path.stat().st_size - before) / 2000 < 1200


def test_events_of_children_are_counted_on_after_a_restart(begun: AuditWriter) -> None:
    assert begun.last_event(RUN, 1) == 0
    event = (ids.event_id(RUN, 1, 12), 1, "workers", "started", 5, None, NOW)
    begun.commit(RUN, 1, {"supervision_events": [event]})
    assert begun.last_event(RUN, 1) == 12
    assert begun.has_begun(RUN, 1, ATTEMPT["pid"], ATTEMPT["process_start_ticks"])
    assert not begun.has_begun(RUN, 2, ATTEMPT["pid"], ATTEMPT["process_start_ticks"])
