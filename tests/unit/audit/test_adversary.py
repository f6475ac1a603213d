"""Somebody who can write to the database but has no key: whatever is cut off, rebuilt or put there, it never holds."""

from __future__ import annotations

import json
import shutil
import sqlite3
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.chain.layouts import FIRST, NEWEST, Layout
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.fixtures.tampering import rebuild, tampering

LATER = "mf3k2b00"
AUDITED = [table for table in NEWEST.columns if table != "runs"]
ENDS: list[dict[str, Any]] = [
    {"status": "running", "completed_at": None},
    {"status": "interrupted", "completed_at": None},
    {"status": "failed", "completed_at": None},
    {"status": "failed", "completed_at": NOW},
    {"status": "completed", "completed_at": NOW},
]


def write(path: Path, key: bytes | None = KEY) -> None:
    """Two attempts, the first of which ended in order, and the end of the run: every kind of commit."""
    writer = AuditWriter(path, signing_key=key)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 4))
    writer.commit(RUN, 1, rows(4, 6, number=2), {"status": "interrupted"})
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    writer.commit(RUN, 2, rows(6, 9, number=3))
    writer.commit(RUN, 2, rows(9, 10, number=4), {"status": "completed", "completed_at": NOW, "failure": None})
    writer.close()


COMMITS = 6


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("finished") / "audit.db"
    write(path)
    return path


def findings(path: Path, key: bytes | None = KEY, run: str = RUN) -> list[Discrepancy]:
    with AuditReader(path) as reader:
        return verify_run(reader, run, key)


def shorten(database: sqlite3.Connection, last: int) -> None:
    """Remove every commit behind `last`, and every record of one."""
    for table in (*AUDITED, "commits", "commit_tables"):
        database.execute(f"DELETE FROM {table} WHERE run_id = ? AND commit_no > ?", (RUN, last))


def project(database: sqlite3.Connection) -> None:
    """Make the columns that change what the events that are left say."""
    run: dict[str, Any] = {}
    attempts: dict[str, dict[str, Any]] = {}
    for (detail,) in database.execute(
        "SELECT detail FROM supervision_events WHERE child IS NULL AND run_id = ? ORDER BY commit_no, event_id", (RUN,)
    ):
        changes = json.loads(detail)["changes"]
        run |= changes.get("runs", {})
        for number, columns in changes.get("attempts", {}).items():
            attempts.setdefault(number, {}).update(columns)
    database.execute(f"UPDATE runs SET {', '.join(f'{name} = ?' for name in run)}", tuple(run.values()))
    for number, columns in attempts.items():
        names = ", ".join(f"{name} = ?" for name in columns)
        database.execute(f"UPDATE run_attempts SET {names} WHERE attempt = ?", (*columns.values(), number))


def test_what_nobody_touched_holds(finished: Path) -> None:
    assert findings(finished) == []
    assert findings(finished, None) == []


def test_rebuilding_is_done_right_so_that_only_the_key_tells(copy: Path) -> None:
    with tampering(copy) as database:
        before = database.execute("SELECT commit_no, digest FROM commits").fetchall()
        rebuild(database, RUN)
        assert database.execute("SELECT commit_no, digest FROM commits").fetchall() == before
    assert findings(copy) == []


@pytest.mark.parametrize("last", range(-1, COMMITS - 1))
@pytest.mark.parametrize("end", [None, *ENDS], ids=str)
def test_a_shortened_chain_never_holds(last: int, end: dict[str, Any] | None, copy: Path) -> None:
    with tampering(copy) as database:
        shorten(database, last)
        if last >= 0:
            project(database)
        if end is not None:
            database.execute("UPDATE runs SET status = ?, completed_at = ?", tuple(end.values()))
    assert findings(copy)


@pytest.mark.parametrize("last", range(COMMITS - 1))
def test_a_shortened_chain_that_says_so_consistently_has_no_end(last: int, copy: Path) -> None:
    with tampering(copy) as database:
        shorten(database, last)
        project(database)
    assert [finding.kind for finding in findings(copy)] == ["unfinished"]
    assert findings(copy, None) == []  # without the key nobody can tell


@pytest.mark.parametrize("number", range(COMMITS))
def test_a_commit_taken_out_of_the_middle_never_holds(number: int, copy: Path) -> None:
    with tampering(copy) as database:
        for table in (*AUDITED, "commits", "commit_tables"):
            database.execute(f"DELETE FROM {table} WHERE commit_no = ?", (number,))
            database.execute(f"UPDATE {table} SET commit_no = -commit_no WHERE commit_no > ?", (number,))
            database.execute(f"UPDATE {table} SET commit_no = -commit_no - 1 WHERE commit_no < 0")
    assert findings(copy)


CHANGES = [
    "UPDATE token_outcomes SET sink_name = 'low' WHERE commit_no = 1",
    "UPDATE rows SET source_data = NULL, source_data_hash = NULL WHERE commit_no = 1",
    "DELETE FROM routing_events WHERE commit_no = 1",
    "INSERT INTO edges SELECT 'gate:more', run_id, from_node_id, to_node_id, 'more', mode, commit_no FROM edges",
    "UPDATE run_attempts SET user = 'eve'",
]
SIGNATURES = [
    None,
    "UPDATE commits SET signature = NULL",
    "UPDATE commits SET signature = NULL WHERE commit_no <> (SELECT max(commit_no) FROM commits)",
    "UPDATE commits SET signature = (SELECT signature FROM commits WHERE commit_no = 0)",
    "UPDATE commits SET signature = upper(signature)",
    "UPDATE commits SET signature = ''",
    "UPDATE commits SET signature = x'00'",
]


@pytest.mark.parametrize(("change", "signatures"), list(product(CHANGES, SIGNATURES)))
@pytest.mark.parametrize("layout", [None, FIRST], ids=["same layout", "first layout"])
def test_a_rebuilt_chain_never_holds(change: str, signatures: str | None, layout: Layout | None, copy: Path) -> None:
    with tampering(copy) as database:
        database.execute(change)
        rebuild(database, RUN, layout)
        if signatures:
            database.execute(signatures)
    assert findings(copy)


@pytest.mark.parametrize("number", range(COMMITS))
def test_a_chain_that_is_unsigned_from_some_commit_on_never_holds(number: int, copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE commits SET signature = NULL WHERE commit_no >= ?", (number,))
    assert {finding.kind for finding in findings(copy)} == {"signature"}


@pytest.mark.parametrize("number", range(COMMITS))
def test_one_signature_that_is_missing_is_named(number: int, copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE commits SET signature = NULL WHERE commit_no = ?", (number,))
    assert [(finding.kind, finding.commit_no) for finding in findings(copy)] == [("signature", number)]


@pytest.mark.parametrize("layout", [None, 1, 0, NEWEST.number + 1, "2"])
def test_a_layout_cannot_be_said_otherwise(layout: object, copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE commits SET layout = ?", (layout,))
        changed = database.execute("SELECT count(*) FROM commits WHERE layout IS NOT ?", (NEWEST.number,)).fetchone()[0]
    assert bool(findings(copy, None)) == bool(changed)
    assert bool(findings(copy)) == bool(changed)


def test_a_chain_may_not_go_back_to_an_older_layout(copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE commits SET layout = NULL WHERE commit_no = 5")
        rebuild(database, RUN)
    assert any("claims the layout None" in finding.sentence for finding in findings(copy, None))


def test_an_invented_run_does_not_hold(copy: Path) -> None:
    with tampering(copy) as database:
        for table in schema.tables(database):
            columns = schema.columns(database, table)
            chosen = ", ".join(f"'{LATER}'" if column == "run_id" else f'"{column}"' for column in columns)
            if table in ("runs", "run_attempts", "commits", "commit_tables", "nodes", "edges"):
                database.execute(f"INSERT INTO {table} SELECT {chosen} FROM {table} WHERE run_id = ?", (RUN,))
        rebuild(database, LATER)
    assert findings(copy, run=LATER)
    assert findings(copy)  # two runs follow the same


@pytest.mark.parametrize("attempt", [1, 3, 0])
def test_the_number_of_the_attempt_is_that_of_the_attempts_there_are(attempt: int, copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE runs SET attempt = ?", (attempt,))
        detail = json.dumps({"changes": {"runs": {"attempt": attempt}}})
        database.execute(
            "UPDATE supervision_events SET detail = ? WHERE event = 'completed' OR event LIKE '%completed%'", (detail,)
        )
        rebuild(database, RUN)
        project(database)
    assert any("attempt" in finding.sentence for finding in findings(copy, None) if finding.kind == "state")


def test_records_in_the_wrong_physical_order_are_found(copy: Path) -> None:
    """Scans see them, look-ups by key do not: the pages are rearranged as only somebody does who writes them."""
    with tampering(copy) as database:
        (created,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'edges'").fetchone()
        records = database.execute("SELECT * FROM nodes").fetchall()
        (nodes,) = database.execute("SELECT sql FROM sqlite_master WHERE name = 'nodes'").fetchone()
        assert created
        database.execute("ALTER TABLE nodes RENAME TO gone")
        database.execute(nodes.replace('PRIMARY KEY ("run_id", "node_id")', 'PRIMARY KEY ("run_id", "node_id" DESC)'))
        database.executemany(f"INSERT INTO nodes VALUES ({', '.join('?' * len(records[0]))})", records)
        database.execute("DROP TABLE gone")
        database.execute("PRAGMA writable_schema = ON")
        database.execute("UPDATE sqlite_master SET sql = ? WHERE name = 'nodes'", (nodes,))
    assert "integrity" in {finding.kind for finding in findings(copy, None)}


@pytest.mark.parametrize("table", sorted(NEWEST.purgeable))
def test_row_data_erased_together_with_its_marks_is_found_without_a_purge(table: str, copy: Path, path: Path) -> None:
    with tampering(copy) as database:
        held = " OR ".join(f"{column} IS NOT NULL" for column in NEWEST.purgeable[table])
        if not database.execute(f"SELECT 1 FROM {table} WHERE {held}").fetchone():
            shutil.copy(path, copy)
    with tampering(copy) as database:
        assert database.execute(f"SELECT 1 FROM {table} WHERE {held}").fetchone()
        for column in NEWEST.purgeable[table]:
            database.execute(f"UPDATE {table} SET {column} = NULL")
        database.execute("UPDATE commit_tables SET purgeable_marks = NULL WHERE table_name = ?", (table,))
    assert table in {finding.table for finding in findings(copy, None)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A database with data in every column that a purge takes."""
    from tests.kit.fixtures.sample_run import write_run

    write_run(tmp_path / "whole.db")
    return tmp_path / "whole.db"
