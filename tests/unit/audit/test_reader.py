"""What commands ask: runs by id, prefix or `latest`, checkpoints, counts; and where the database is looked for."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from elspeth.audit.query.counters import counters
from elspeth.audit.query.locate import VARIABLE, locate
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, RunNotFound, SettingsError, Temporary
from tests.kit.fixtures.sample_run import ATTEMPT, RUN, RUN_COLUMNS, beginning, rows, write_run


@pytest.fixture
def reader(path: Path) -> AuditReader:
    write_run(path)
    stamps = iter(f"2099-01-01T00:00:0{second}.000Z" for second in range(9))
    writer = AuditWriter(path, now=lambda: next(stamps))
    writer.create_run({**RUN_COLUMNS, "run_id": "mf3zzzzz"}, ATTEMPT, beginning() | {"checkpoints": []})
    writer.commit("mf3zzzzz", 1, rows(0, 2, run="mf3zzzzz"), {"status": "failed", "failure": "it broke"})
    writer.close()
    return AuditReader(path)


def test_a_run_is_found_by_id_by_prefix_and_as_the_latest(reader: AuditReader) -> None:
    with reader:
        assert reader.run(RUN).run_id == RUN
        assert reader.run("mf3k").run_id == RUN
        assert reader.run("latest").run_id == "mf3zzzzz"
        assert [run.run_id for run in reader.runs()] == ["mf3zzzzz", RUN]
        assert [run.run_id for run in reader.unfinished()] == ["mf3zzzzz"]


@pytest.mark.parametrize("reference", ["nothere", "", "mf%", "MF3K2A9X", "mf3k2a9x0"])
def test_a_run_that_is_not_found_is_answered_with_those_that_exist(reader: AuditReader, reference: str) -> None:
    with reader, pytest.raises(RunNotFound, match="Run not found") as caught:
        reader.run(reference)
    assert "these exist: mf3zzzzz, mf3k2a9x" in caught.value.details[0]


def test_a_prefix_of_several_ids_is_answered_with_them(reader: AuditReader) -> None:
    with reader, pytest.raises(RunNotFound) as caught:
        reader.run("mf3")
    assert "mf3k2a9x, mf3zzzzz" in caught.value.details[0]


def test_counts_and_records_of_a_run_are_its_own(reader: AuditReader) -> None:
    with reader:
        assert reader.row_count(RUN) == 30
        assert reader.outcome_counts(RUN) == {"consumed_in_batch": 1, "routed": 30}
        assert reader.sink_counts(RUN) == {"high": 30}
        assert counters(reader, RUN).edges == {"gate:true": 30}
        assert reader.sink_counts("mf3zzzzz") == {"high": 2}
        assert [node.node_id for node in reader.nodes(RUN)] == ["source", "gate"]
        assert [edge.edge_id for edge in reader.edges(RUN)] == ["gate:true"]
        assert [artifact.path for artifact in reader.artifacts(RUN)] == ["high.csv"]
        assert [action.action for action in reader.operator_actions(RUN)] == ["note"]
        assert [attempt.pid for attempt in reader.attempts(RUN)] == [4242]
        assert reader.heartbeat(RUN, 1) == 7
        assert [commit.commit_no for commit in reader.commits(RUN, 2)] == [5, 4]
        assert [event.event for event in reader.events("mf3zzzzz")] == ["started", "failed"]


def test_the_latest_checkpoint_is_the_one_committed_last(reader: AuditReader) -> None:
    with reader:
        checkpoint = reader.checkpoint(RUN)
        assert checkpoint is not None
        assert (checkpoint.sequence_number, checkpoint.commit_no) == (3, 3)
        assert reader.checkpoint("nothere0") is None


def test_an_empty_database_has_no_latest_run(path: Path) -> None:
    AuditWriter(path).close()
    with AuditReader(path) as reader, pytest.raises(RunNotFound, match="holds no runs"):
        reader.run("latest")


def test_the_usual_places_are_searched_in_order(tmp_path: Path) -> None:
    write_run(tmp_path / "state" / "audit.db")
    assert locate(None, {}, tmp_path) == tmp_path / "state" / "audit.db"
    write_run(tmp_path / "runs" / "audit.db")
    assert locate(None, {}, tmp_path) == tmp_path / "runs" / "audit.db"


def test_what_is_named_is_taken_before_the_usual_places(tmp_path: Path) -> None:
    for name in ("runs/audit.db", "a.db", "b.db"):
        write_run(tmp_path / name)
    assert locate(None, {VARIABLE: "sqlite:///./a.db"}, tmp_path) == tmp_path / "a.db"
    assert locate("sqlite:///b.db", {VARIABLE: "sqlite:///./a.db"}, tmp_path) == tmp_path / "b.db"
    assert locate("b.db", {}, tmp_path) == tmp_path / "b.db"


def test_files_that_are_not_ours_are_passed_over_and_named(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "state").mkdir()
    (tmp_path / "runs" / "audit.db").touch()
    other = sqlite3.connect(tmp_path / "state" / "audit.db")
    other.execute("CREATE TABLE t (a)")
    other.close()
    with pytest.raises(ElspethError, match="no audit database found") as caught:
        locate(None, {}, tmp_path)
    assert [line.split("/")[-2:] for line in caught.value.details[1:]] == [
        ["runs", "audit.db is empty"],
        ["state", "audit.db is a database of another program"],
        ["data", "audit.db does not exist"],
    ]


def test_a_wrong_name_creates_nothing(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "audit.db")
    with pytest.raises(SettingsError, match="does not exist"):
        locate("none/audit.db", {}, tmp_path)
    with pytest.raises(ElspethError, match="does not exist") as caught:
        locate(None, {VARIABLE: "sqlite:///none.db"}, tmp_path)
    assert VARIABLE in caught.value.details[0]
    assert not (tmp_path / "none").exists()


def test_a_locked_database_is_not_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("elspeth.audit.store.sqlite_file.BUSY_SECONDS", 0.001)
    write_run(tmp_path / "runs" / "audit.db")
    write_run(tmp_path / "state" / "audit.db")
    other = sqlite3.connect(tmp_path / "runs" / "audit.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Temporary, match="locked"):
        locate(None, {}, tmp_path)
    other.close()
