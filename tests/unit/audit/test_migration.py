"""A database of an earlier layout is brought forward as a whole or not at all, and holds as it held before."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from elspeth.audit import migration
from elspeth.audit.chain.layouts import NEWEST
from elspeth.audit.mapping.tables import OUTCOME_RECORDS, StoredTable
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import EXIT_NEWER, ElspethError, NewerVersion, Temporary
from tests.kit.fixtures.unpack import KEY, NAMES, layouts, run_ids, unpack

WHO: dict[str, Any] = {"user": "ada", "uid": 1000, "command_line": "elspeth doctor --fix", "reason": None}
OLD = [number for number in layouts() if number < NEWEST.number]


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The database with records in every table."""
    return unpack("every_table", tmp_path / "kept", layout=request.param) / "runs" / "audit.db"


def bring_forward(path: Path, *, key: str | None = KEY, notify: Callable[[str], None] = lambda line: None) -> None:
    AuditWriter(path, signing_key=key.encode() if key else None, migrate=WHO, notify=notify).close()


def found(path: Path, key: str | None = None) -> dict[str, list[str]]:
    """What does not hold, by run."""
    with AuditReader(path) as reader:
        runs = [run.run_id for run in reader.runs()]
        return {run: [one.sentence for one in verify_run(reader, run, key.encode() if key else None)] for run in runs}


def version(path: Path) -> int | None:
    with closing(sqlite3.connect(path)) as database:
        return schema.version(database)


def dump(path: Path) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        tables = schema.tables(database)
        return [(table, *row) for table in tables for row in database.execute(f'SELECT * FROM "{table}"')]


@pytest.mark.parametrize("layout", OLD)
@pytest.mark.parametrize("name", NAMES)
def test_every_kept_database_is_brought_forward_and_holds(name: str, layout: int, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / name, layout=layout)
    path = folder / "runs" / "audit.db"
    proven = {run for run, sentences in found(path, KEY).items() if not sentences}
    assert found(path) == {run: [] for run in run_ids(folder)}
    lines: list[str] = []
    bring_forward(path, notify=lines.append, key=KEY if proven else None)
    assert version(path) == schema.VERSION
    assert found(path) == {run: [] for run in run_ids(folder)}
    assert {run for run, sentences in found(path, KEY).items() if not sentences} == proven
    assert bool(proven) == (name in ("signed", "every_table"))
    assert any("comparing run" in line for line in lines)
    with closing(sqlite3.connect(path)) as database:
        assert schema.differences(database) == []
        assert database.execute("PRAGMA freelist_count").fetchone() == (0,)
        stories, rows = "SELECT count(*) FROM row_story WHERE what = 'read'", "SELECT count(*) FROM rows"
        assert database.execute(stories).fetchone() == database.execute(rows).fetchone()


def test_it_is_on_record_who_brought_it_forward(old: Path) -> None:
    before = version(old)
    bring_forward(old)
    with closing(sqlite3.connect(old)) as database:
        action = database.execute("SELECT user, detail FROM operator_actions WHERE action = 'migrate'").fetchall()
    assert action == [("ada", f'{{"from":{before},"to":{schema.VERSION}}}')]
    bring_forward(old)
    with closing(sqlite3.connect(old)) as database:
        assert database.execute("SELECT count(*) FROM operator_actions WHERE action = 'migrate'").fetchone() == (1,)


def test_a_signed_run_is_not_left_half_signed_where_the_key_is_not_at_hand(old: Path) -> None:
    bring_forward(old, key=None)
    assert found(old, KEY) == {"mf3k2a9x": []}


def test_an_old_layout_cannot_be_lent_to_new_commits(old: Path) -> None:
    bring_forward(old)
    with closing(sqlite3.connect(old)) as database, database:
        database.execute("UPDATE commits SET layout = NULL")
    assert any("not what was written" in sentence for sentence in found(old)["mf3k2a9x"])


def test_nor_a_new_one_to_old_commits(old: Path) -> None:
    bring_forward(old)
    with closing(sqlite3.connect(old)) as database, database:
        database.execute("UPDATE commits SET layout = ?", (NEWEST.number,))
    assert found(old)["mf3k2a9x"]


class Died(BaseException):
    pass


@pytest.mark.parametrize("moment", ["_repack", "_compare", "crash_point"])
def test_what_dies_in_the_middle_leaves_it_as_it_was(moment: str, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, of = dump(old), version(old)

    def die(*_: object) -> None:
        raise Died

    with monkeypatch.context() as patched:
        patched.setattr(migration, moment, die)
        with pytest.raises(Died):
            bring_forward(old)
    assert (dump(old), version(old)) == (before, of)
    assert found(old, KEY) == {"mf3k2a9x": []}
    bring_forward(old)
    assert found(old, KEY) == {"mf3k2a9x": []}


def test_without_room_nothing_is_begun(old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = dump(old)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(Temporary, match="not enough room"):
        bring_forward(old)
    assert dump(old) == before


@pytest.mark.parametrize(
    "bending",
    [
        "UPDATE outcome_records SET sink_row = sink_row + 1 WHERE commit_no = 1",
        "UPDATE state_records SET took = took + 1 WHERE commit_no = 1",
        "UPDATE token_records SET what = 2 WHERE commit_no = 1",
        "UPDATE names SET name = name || 'x'",
        "DELETE FROM state_records WHERE commit_no = 2",
    ],
)
def test_a_record_that_would_be_bent_on_the_way_stops_it(
    bending: str, old: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, repack = dump(old), migration._repack

    def bend(connection: sqlite3.Connection, form: StoredTable, *rest: Any) -> None:
        repack(connection, form, *rest)
        if form is OUTCOME_RECORDS:
            connection.execute(bending)

    monkeypatch.setattr(migration, "_repack", bend)
    with pytest.raises(ElspethError, match="would not be what it was"):
        bring_forward(old)
    assert dump(old) == before


def test_a_table_that_would_be_bent_on_the_way_stops_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = unpack("every_table", tmp_path / "kept", layout=1) / "runs" / "audit.db"
    before, renew = dump(old), migration._renew

    def bend(connection: sqlite3.Connection, name: str, *rest: Any) -> None:
        renew(connection, name, *rest)
        if name == "commits":
            connection.execute(f"UPDATE {name} SET record_count = record_count + 1 WHERE commit_no = 1")

    monkeypatch.setattr(migration, "_renew", bend)
    with pytest.raises(ElspethError, match="would not be what it was"):
        bring_forward(old)
    assert dump(old) == before


def test_what_was_tampered_with_before_is_still_found(old: Path) -> None:
    with closing(sqlite3.connect(old)) as database, database:
        database.execute("UPDATE node_states SET status = 'failed' WHERE state_id = 'mf3k2a9x-000000013:1'")
    before = found(old, KEY)
    assert before["mf3k2a9x"]
    bring_forward(old)
    assert found(old, KEY) == before


def test_an_index_of_the_users_own_does_not_stand_in_the_way(old: Path) -> None:
    with closing(sqlite3.connect(old)) as database, database:
        database.execute("CREATE INDEX mine ON rows (row_index)")
        database.execute("CREATE VIEW ours AS SELECT digest FROM commits")
    bring_forward(old)
    with closing(sqlite3.connect(old)) as database:
        assert database.execute("SELECT count(*) FROM ours").fetchone()[0] > 0


def test_a_newer_database_is_not_touched_and_said_to_be_newer(old: Path) -> None:
    with closing(sqlite3.connect(old)) as database, database:
        database.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    for opening in (AuditReader, AuditWriter, lambda path: AuditWriter(path, migrate=WHO)):
        with pytest.raises(NewerVersion) as caught:
            opening(old)
        assert caught.value.exit_code == EXIT_NEWER == 13


def test_an_older_database_is_read_as_it_is_and_stays_so(old: Path) -> None:
    before = old.read_bytes()
    with AuditReader(old) as reader:
        named = {commit.layout for commit in reader.commits("mf3k2a9x")}
        assert named == {None if version(old) == 1 else version(old)}
    assert found(old, KEY) == {"mf3k2a9x": []}
    assert old.read_bytes() == before
    with pytest.raises(ElspethError, match="needs version") as caught:
        AuditWriter(old)
    assert "doctor --fix" in str(caught.value.next_step)
