"""What the machine has in store: full disks, folders that cannot be written, databases in other hands, or none."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.pipelines.calling import KEY, lay
from tests.kit.pipelines.crash_pipelines import DECIDING, SLOW, lay_out
from tests.kit.processes.mounts import Mount
from tests.kit.processes.program import Programs
from tests.kit.processes.recorded_run import outputs, query, run_id, snapshot
from tests.kit.processes.waiting import wait_until
from tests.kit.provider.server import FakeProvider

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
PLACES = ["output", "runs"]


def violations(folder: Path) -> list[str]:
    transforms = {"delay": lambda options, row: row}
    return check(
        folder / "pipeline.yaml", folder / "runs/audit.db", run_id(folder / "runs/audit.db"), working_directory=folder,
        transforms=transforms,
    )  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
def test_a_full_disk_is_one_sentence_and_the_run_is_resumed_when_there_is_room(
    place: str, tmp_path: Path, programs: Programs, mount: Mount
) -> None:
    folder = lay_out(tmp_path / "run", DECIDING, rows=4000)
    mount(folder / place, "size=800k" if place == "runs" else "size=64k")
    said = programs.call(folder, *RUN, code=75).said
    assert "full" in said
    assert "Traceback" not in said
    run = run_id(folder / "runs/audit.db")
    assert f"elspeth resume {run}" in said
    done = query(folder / "runs/audit.db", "SELECT count(*) FROM rows")[0][0]
    assert 0 < done < 4000
    mount(folder / place, "size=100m")
    programs.call(folder, "resume", run)
    assert violations(folder) == []


def test_a_journal_of_calls_that_cannot_grow_stops_the_run_and_no_call_that_was_sent_is_forgotten(
    tmp_path: Path, programs: Programs, mount: Mount
) -> None:
    with FakeProvider(key=KEY, seconds=0.05, answer=lambda asked: asked.question * 200) as provider:
        folder = lay(tmp_path / "run", provider.url, 200, pool=8)
        mount(folder / "state/calls", "size=64k")
        said = programs.start(folder, *RUN, CALLS_KEY=KEY).ends_with(75).said
        assert f"the journal of calls in {folder}/state/calls/" in said.replace("\n", "")
        assert "cannot be written: the disk is full" in said
        assert "Traceback" not in said
        assert 0 < len(provider.paid) < 200
        mount(folder / "state/calls", "size=10m")
        programs.start(folder, "resume", "latest", CALLS_KEY=KEY).ends_with(0)
        paid = Counter(provider.paid)
    assert paid.keys() == {f"about {row}" for row in range(200)}
    twice = {question for question, times in paid.items() if times > 1}
    unknown = query(
        folder / "runs/audit.db",
        "SELECT s.token_id FROM calls AS c JOIN node_states AS s USING (state_id) WHERE c.status = 'unknown'",
    )
    assert 0 < len(twice) <= len(unknown) <= 8
    assert len((folder / "output/out.csv").read_text().splitlines()) == 201


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_that_is_read_only_from_the_start_is_one_sentence(
    place: str, tmp_path: Path, programs: Programs, mount: Mount
) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    mount(folder / place, "size=10m,ro")
    said = programs.call(folder, *RUN, code=75).said
    assert str(folder / place) in said or f"{place}/" in said
    assert "Traceback" not in said
    assert "read-only" in said.lower() or "writ" in said
    mount(folder / place, "size=10m,rw")
    database = folder / "runs/audit.db"
    begun = database.exists() and query(database, "SELECT count(*) FROM sqlite_master WHERE name = 'runs'") == [(1,)]
    if begun and query(database, "SELECT count(*) FROM runs") == [(1,)]:
        programs.call(folder, "resume", "latest")
    else:
        programs.call(folder, *RUN)
    assert violations(folder) == []


@pytest.mark.parametrize("place", PLACES)
def test_a_folder_that_became_read_only_is_said_so_by_the_resume(
    place: str, tmp_path: Path, programs: Programs, mount: Mount
) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    mount(folder / place, "size=10m")
    environment = {"CRASH_POINT": f"audit.before_durable:4:{tmp_path}/mark", "CRASH_GROUP": "1"}
    programs.start(folder, *RUN, **environment).ends_with(-9)
    mount(folder / place, "size=10m,ro")
    before = outputs(folder)
    said = programs.call(folder, "resume", "latest", code=75).said
    assert "Traceback" not in said
    assert outputs(folder) == before
    mount(folder / place, "size=10m,rw")
    programs.call(folder, "resume", "latest")
    assert violations(folder) == []


def test_a_database_that_another_program_holds_is_one_sentence(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    database = folder / "runs/audit.db"
    environment = {"CRASH_POINT": f"audit.before_durable:4:{tmp_path}/mark", "CRASH_GROUP": "1"}
    programs.start(folder, *RUN, **environment).ends_with(-9)
    with closing(sqlite3.connect(database, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        before = outputs(folder)
        said = programs.call(folder, "resume", "latest", code=75).said
        assert "locked" in said
        assert "Traceback" not in said
        assert outputs(folder) == before
        other.execute("ROLLBACK")
    programs.call(folder, "resume", "latest")
    assert violations(folder) == []


def test_a_database_that_is_seized_in_the_middle_ends_the_run_resumably(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", SLOW)
    database = folder / "runs/audit.db"
    running = programs.start(folder, *RUN)
    wait_until(lambda: database.exists() and rows(database), what="something is committed")
    with closing(sqlite3.connect(database, isolation_level=None, timeout=30)) as other:
        other.execute("BEGIN IMMEDIATE")
        said = running.ends_with(75).said
        assert "locked" in said
        assert "Traceback" not in said
        assert "elspeth resume" in said
        other.execute("ROLLBACK")
    programs.call(folder, "resume", "latest")
    assert violations(folder) == []


def rows(database: Path) -> int:
    if query(database, "SELECT count(*) FROM sqlite_master WHERE name = 'rows'") == [(0,)]:
        return 0
    return int(query(database, "SELECT count(*) FROM rows")[0][0])


@pytest.mark.parametrize("content", [b"not a database, but a letter\n" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_database_that_is_none_is_refused_and_left_as_it_is(
    content: bytes, tmp_path: Path, programs: Programs
) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    (folder / "runs").mkdir()
    (folder / "runs/audit.db").write_bytes(content)
    before = snapshot(folder)
    for words in (RUN, ("resume", "latest", "--database", "runs/audit.db")):
        called = programs.start(folder, *words)
        assert called.wait() not in (0, -9)
        assert "audit.db" in called.said
        assert "Traceback" not in called.said
        assert "bug" not in called.said
        assert (folder / "runs/audit.db").read_bytes() == content
        assert outputs(folder) == {}
    assert {name for name in snapshot(folder) if not name.endswith(".lock")} == set(before)


def test_a_database_of_another_program_is_refused_and_left_as_it_is(tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    (folder / "runs").mkdir()
    with closing(sqlite3.connect(folder / "runs/audit.db")) as other:
        other.execute("CREATE TABLE runs (name TEXT)")
        other.commit()
    content = (folder / "runs/audit.db").read_bytes()
    called = programs.start(folder, *RUN)
    assert called.wait() != 0
    assert "audit.db" in called.said
    assert "Traceback" not in called.said
    assert "bug" not in called.said
    assert (folder / "runs/audit.db").read_bytes() == content
