"""A run is copied from a file into PostgreSQL and back: the same answers and evidence, and nobody waits for it."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit import copying
from elspeth.audit.connection import Lost
from elspeth.audit.export.jsonl import TABLES, columns_of
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place, place_of
from elspeth.audit.store.postgres import ddl
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, Temporary
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN, RUN_COLUMNS, beginning, rows, write_run
from tests.kit.fixtures.tampering import rebuild, tampering
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.postgres.databases import Database
from tests.kit.processes.running import elspeth

WHO: dict[str, Any] = {"user": "ada", "uid": 1000, "command_line": "elspeth copy", "reason": None}
OTHER = "mf3k2b00"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    write_run(tmp_path / "origin.db")
    return tmp_path / "origin.db"


def copy(origin: Place, target: Place, run: str = RUN) -> None:
    with closing(AuditWriter(target, signing_key=KEY)) as writer, AuditReader(origin) as reader:
        writer.take_in(reader, run_id=run, **WHO)


def shown(place: Place, run: str = RUN) -> dict[str, list[tuple[Any, ...]]]:
    """What people read of a run, but for the copies, by table."""
    with AuditReader(place) as reader:
        copies = reader.connection.execute("SELECT min(commit_no) FROM operator_actions WHERE action = 'copy'")
        last = copies.fetchone()[0] or 1 << 30
        found = {}
        for table in TABLES:
            columns = ", ".join(f'"{column}"' for column in columns_of(table))
            query = f"SELECT {columns} FROM {table} WHERE run_id = ? AND commit_no < ?"
            found[table] = sorted(
                (tuple(r) for r in reader.connection.execute(query, (run, last)).fetchall()), key=repr
            )
        return found


def stored(path: Path) -> dict[str, list[tuple[Any, ...]]]:
    with closing(sqlite3.connect(path)) as database:
        tables = (*(table for table in TABLES if table not in (*HELD_IN, "commits", "commit_tables",
                  "operator_actions")), *STORED, "names")  # fmt: skip
        return {table: sorted(database.execute(f"SELECT * FROM {table}"), key=repr) for table in tables}


def hold(place: Place, key: bytes | None = KEY) -> None:
    with AuditReader(place) as reader:
        for run in reader.runs():
            assert verify_run(reader, run.run_id, key) == []


@pytest.mark.parametrize("piece", [3, 5000])
def test_all_of_a_run_comes_back_as_it_went(
    piece: int, origin: Path, postgres: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PIECE", piece)
    place, back = place_of(postgres.url), tmp_path / "back.db"
    before = shown(origin)
    assert all(before.values())
    copy(origin, place)
    assert shown(place) == before
    hold(place)
    copy(place, back)
    assert shown(back) == before
    assert stored(back) == stored(origin)
    hold(back)
    copy(origin, place)
    assert postgres.ask("SELECT count(*) FROM operator_actions WHERE action = 'copy'") == [(1,)]


def test_types_of_columns_are_those_that_the_schema_declares() -> None:
    declared = ddl.statements()
    for table in TABLES:
        if table not in HELD_IN:
            for column in columns_of(table):
                assert f'"{column}" {ddl.TYPES[copying.type_of(column)]}' in declared[table], (table, column)


def test_a_text_of_an_older_release_that_no_server_holds_is_named(tmp_path: Path, postgres: Database) -> None:
    origin = tmp_path / "origin.db"
    write_run(origin, key=None)
    with tampering(origin) as database:
        database.execute("UPDATE artifacts SET path = 'high' || char(0) || '.csv'")
        rebuild(database, RUN)
    with pytest.raises(ElspethError, match="holds a text with a NUL byte, which PostgreSQL does not take"):
        copy(origin, place_of(postgres.url))
    assert postgres.ask("SELECT count(*) FROM runs") == [(0,)]


def while_copied(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something when all records are in the target and the transaction is still open there."""
    proves = copying.require_copied

    def proves_then_acts(*given: Any) -> None:
        proves(*given)
        act()

    monkeypatch.setattr(copying, "require_copied", proves_then_acts)


def test_runs_there_go_on_while_one_is_copied_and_the_order_holds(
    origin: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(postgres.url)
    AuditWriter(place).close()

    def another_run() -> None:
        with closing(AuditWriter(place, signing_key=KEY)) as writer:
            writer.create_run({**RUN_COLUMNS, "run_id": OTHER}, ATTEMPT, {**beginning(), "checkpoints": []})
            writer.commit(OTHER, 1, rows(0, 2, run=OTHER), {"status": "completed", "completed_at": NOW})

    while_copied(monkeypatch, another_run)
    copy(origin, place)
    hold(place)
    assert postgres.ask("SELECT run_id FROM runs ORDER BY 1") == [(RUN,), (OTHER,)]


def test_of_two_who_copy_a_run_at_once_one_does(
    origin: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, refused = place_of(postgres.url), list[ElspethError]()
    AuditWriter(place).close()

    def second() -> None:
        try:
            copy(origin, place)
        except ElspethError as error:
            refused.append(error)

    beside = threading.Thread(target=second)
    first = [True]

    def waits() -> None:
        if first.pop():
            first.append(False)
            beside.start()
            while not postgres.ask("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'"):
                pass

    while_copied(monkeypatch, waits)
    copy(origin, place)
    beside.join()
    assert [(type(error), "while it was copied" in error.message) for error in refused] == [(Temporary, True)]
    copy(origin, place)
    hold(place)


def test_a_server_that_crashes_in_the_middle_has_nothing_of_the_run(
    origin: Path, postgres: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = place_of(postgres.url)
    AuditWriter(place).close()
    with monkeypatch.context() as patched:
        while_copied(patched, postgres.server.restart)
        with pytest.raises(Lost):
            copy(origin, place)
    for table in ("runs", "rows", "commits", "names"):
        assert postgres.ask(f"SELECT count(*) FROM {table}") == [(0,)]
    copy(origin, place)
    hold(place)


@pytest.mark.parametrize(
    ("point", "there"), [("audit.in_copy", 0), ("audit.before_copied", 0), ("audit.after_copied", 1)]
)
def test_a_command_that_dies_is_repeated(point: str, there: int, tmp_path: Path, postgres: Database) -> None:
    folder, mark = lay_out(tmp_path / "run", DECIDING), tmp_path / "mark"
    assert elspeth("run", "--settings", "pipeline.yaml", "--execute", cwd=folder).returncode == 0
    words = ("copy", "latest", "--to", postgres.url)
    died = elspeth(*words, cwd=folder, CRASH_POINT=f"{point}:1:{mark}", CRASH_GROUP="0")
    assert (died.returncode, mark.exists()) == (75, True), died.stderr
    tables = postgres.ask("SELECT count(*) FROM pg_tables WHERE schemaname = 'audit'")[0][0]
    assert tables, "the schema was made"
    assert postgres.ask("SELECT count(*) FROM runs") == [(there,)]
    variable = postgres.url.replace(f"{postgres.role}-secret", "${PASSWORD_OF_AUDIT}")
    for to in (postgres.url, variable):
        done = elspeth("copy", "latest", "--to", to, "--json", cwd=folder, PASSWORD_OF_AUDIT=f"{postgres.role}-secret")
        assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["already_there"]
    assert postgres.ask("SELECT count(*) FROM operator_actions") == [(1,)]
    hold(place_of(postgres.url), None)
    secret = f"{postgres.role}-secret"
    assert secret not in died.stderr + done.stdout + done.stderr
    assert [line for (line,) in postgres.ask("SELECT command_line FROM operator_actions") if secret in line] == []
