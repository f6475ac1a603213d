"""A run that is copied is the same in its new database: all of it or nothing, and nothing that does not hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit import copying
from elspeth.audit.chain.digests import GENESIS
from elspeth.audit.chain.records import PURGEABLE
from elspeth.audit.export.jsonl import STATE, TABLES
from elspeth.audit.purge import PURGE
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.verify.links import in_order
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import EXIT_FAILED, EXIT_IN_PROGRESS, EXIT_USAGE, ElspethError
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN, RUN_COLUMNS, beginning, rows, write_run
from tests.kit.fixtures.tampering import rebuild, tampering
from tests.kit.fixtures.unpack import layouts, run_ids, unpack

WHO: dict[str, Any] = {"user": "ada", "uid": 1000, "command_line": "elspeth copy", "reason": "archive"}
END = {"status": "completed", "completed_at": NOW, "failure": None}
ONE, TWO, THREE = "mf3k2b00", "mf3k2b11", "mf3k2b22"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "target" / "audit.db"


def copy(origin: Path, target: Path, run: str = RUN, key: bytes | None = KEY) -> None:
    with closing(AuditWriter(target, signing_key=key)) as writer, AuditReader(origin) as reader:
        writer.take_in(reader, run_id=run, **WHO)


def a_run(path: Path, run: str, *, ends: bool = True) -> None:
    with closing(AuditWriter(path, signing_key=KEY)) as writer:
        writer.create_run({**RUN_COLUMNS, "run_id": run}, ATTEMPT, {**beginning(), "checkpoints": []})
        writer.commit(run, 1, rows(0, 2, run=run), END if ends else None)


def ask(path: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute(query, values).fetchall()


def records(path: Path, run: str = RUN) -> dict[str, list[tuple[Any, ...]]]:
    """All that is on record of a run but for the copies, table by table, as people read it."""
    found = {}
    with closing(sqlite3.connect(path)) as database:
        copies = [n for (n,) in database.execute("SELECT commit_no FROM operator_actions WHERE action = 'copy'")] or [
            -1
        ]
        for table in (*TABLES, "names"):
            where = "" if table == "names" else f" AND commit_no < {copies[0]}" if copies[0] > 0 else ""
            query = f"SELECT * FROM {table} WHERE run_id = ?{where}"
            found[table] = sorted(database.execute(query, (run,)).fetchall(), key=repr)
    return found


def findings(path: Path, run: str, key: bytes | None = KEY) -> list[str]:
    with AuditReader(path) as reader:
        return [finding.sentence for finding in verify_run(reader, run, key)]


def hold(path: Path) -> None:
    for (run,) in ask(path, "SELECT run_id FROM runs"):
        assert findings(path, run) == findings(path, run, None) == []


def head(path: Path, run: str) -> str:
    return str(ask(path, "SELECT digest FROM commits WHERE run_id = ? ORDER BY commit_no DESC LIMIT 1", run)[0][0])


def followed(path: Path, run: str) -> Any:
    query = "SELECT json_extract(detail, '$.follows') FROM operator_actions WHERE run_id = ? AND action = 'copy'"
    return ask(path, query, run)[-1][0]


def empty(path: Path) -> bool:
    with closing(sqlite3.connect(path)) as database:
        return not any(
            database.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall() for table in schema.tables(database)
        )


@pytest.mark.parametrize("piece", [1, 3, 5000])
def test_every_record_is_the_same_and_the_copy_says_where_it_came_from(
    piece: int, path: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "PIECE", piece)
    write_run(path)
    before, was = records(path), path.read_bytes()
    assert all(before[table] for table in TABLES)
    copy(path, target)
    assert records(target) == before
    assert path.read_bytes() == was
    hold(target)
    [(detail, *who)] = ask(target, "SELECT detail, user, reason FROM operator_actions WHERE action = 'copy'")
    assert who == ["ada", "archive"]
    assert all(found in detail for found in (str(path), head(path, RUN), GENESIS))
    digests = ask(target, "SELECT digest, signature FROM commits ORDER BY commit_no")
    assert digests[:-1] == ask(path, "SELECT digest, signature FROM commits ORDER BY commit_no")
    assert digests[-1][1] is not None


def test_done_twice_it_is_done_once(path: Path, target: Path) -> None:
    write_run(path)
    copy(path, target)
    then = ask(target, "SELECT * FROM commits")
    copy(path, target)
    assert ask(target, "SELECT * FROM commits") == then


def test_a_copy_can_be_copied_on_and_where_it_came_from_it_is_already(path: Path, target: Path, tmp_path: Path) -> None:
    write_run(path)
    copy(path, target)
    copy(target, tmp_path / "third.db")
    hold(tmp_path / "third.db")
    was = ask(path, "SELECT * FROM commits")
    copy(target, path)
    copy(tmp_path / "third.db", path)
    assert ask(path, "SELECT * FROM commits") == was
    with closing(AuditWriter(target, signing_key=KEY)) as writer:
        writer.purge(run_id=RUN, **WHO)
    with pytest.raises(ElspethError, match="is not the same"):
        copy(target, path)
    assert ask(path, "SELECT * FROM commits") == was


def test_runs_of_every_layout_are_copied_once_their_database_was_brought_forward(tmp_path: Path, target: Path) -> None:
    for layout in layouts():
        folder = unpack("completed", tmp_path / f"layout{layout}", layout=layout)
        origin, (run,) = folder / "runs" / "audit.db", run_ids(folder)
        into = target.with_name(f"from{layout}.db")
        if layout < schema.VERSION:
            with pytest.raises(ElspethError, match="schema version"):
                copy(origin, into, run, None)
            assert empty(into)
            AuditWriter(origin, migrate=WHO).close()
        copy(origin, into, run, None)
        assert findings(into, run, None) == []


def test_an_older_database_is_nothing_to_copy_into(tmp_path: Path, path: Path) -> None:
    write_run(path)
    older = unpack("completed", tmp_path / "older", layout=1) / "runs" / "audit.db"
    with pytest.raises(ElspethError, match="schema version 1"):
        copy(path, older)
    assert ask(older, "SELECT count(*) FROM runs") == [(1,)]
    assert ask(older, "PRAGMA user_version") == [(1,)]


def test_copied_runs_stand_in_the_order_of_their_database(path: Path, target: Path) -> None:
    write_run(path)
    a_run(path, ONE)
    a_run(target, TWO)
    copy(path, target, ONE)
    copy(path, target)
    a_run(target, THREE)
    hold(target)
    assert followed(target, ONE) == head(target, TWO)
    assert followed(target, RUN) == head(target, ONE)
    [(first,)] = ask(target, "SELECT previous_digest FROM commits WHERE run_id = ? AND commit_no = 0", THREE)
    assert first == head(target, RUN)
    with AuditReader(target) as reader:
        order = in_order(reader.connection)
    assert order.index(RUN) < order.index(ONE), "where they began is known here"


@pytest.mark.parametrize("gone", [ONE, RUN, TWO])
def test_a_run_that_is_taken_away_is_missed_whether_it_was_copied_or_not(path: Path, target: Path, gone: str) -> None:
    write_run(path)
    a_run(path, ONE)
    a_run(target, TWO)
    copy(path, target, ONE)
    copy(path, target)
    a_run(target, THREE)
    with tampering(target) as database:
        for table in schema.tables(database):
            key = schema.columns(database, table)[0]
            database.execute(f'DELETE FROM "{table}" WHERE substr("{key}", 1, 8) = ?', (gone,))
    for (run,) in ask(target, "SELECT run_id FROM runs"):
        assert any("a run before it was removed" in sentence for sentence in findings(target, run))


def test_a_copy_that_points_elsewhere_is_found(path: Path, target: Path) -> None:
    write_run(path, key=None)
    a_run(target, TWO)
    copy(path, target, key=None)
    for follows in ("ab" * 32, head(target, RUN)[::-1], GENESIS):
        with tampering(target) as database:
            database.execute(
                "UPDATE operator_actions SET detail = json_set(detail, '$.follows', ?) WHERE action = 'copy'",
                (follows,),
            )
            rebuild(database, RUN)
        assert findings(target, TWO, None) != []


def test_nothing_is_copied_that_does_not_hold(path: Path, target: Path) -> None:
    write_run(path)
    with tampering(path) as database:
        database.execute("UPDATE token_records SET source_data = '{}' WHERE row_index IS NULL AND line = 5")
    with pytest.raises(ElspethError, match="does not hold in") as refused:
        copy(path, target)
    assert refused.value.exit_code == EXIT_FAILED
    assert any("rows" in detail for detail in refused.value.details)
    assert empty(target)


def test_a_run_that_was_bent_on_the_way_is_not_kept(path: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(path)
    pieces = copying._pieces

    def bent(*given: Any) -> Any:
        for piece in pieces(*given):
            yield piece[:-1] if given[2] == "outcome_records" else piece

    monkeypatch.setattr(copying, "_pieces", bent)
    with pytest.raises(ElspethError, match="does not hold in"):
        copy(path, target)
    assert empty(target)


def test_a_run_that_has_not_finished_stays_where_it_can_be_resumed(path: Path, target: Path) -> None:
    a_run(path, ONE, ends=False)
    with pytest.raises(ElspethError, match="has not finished") as refused:
        copy(path, target, ONE)
    assert refused.value.exit_code == EXIT_IN_PROGRESS
    assert empty(target)


def test_a_signed_run_is_not_copied_without_its_key(path: Path, target: Path) -> None:
    write_run(path)
    with pytest.raises(ElspethError, match="is signed") as refused:
        copy(path, target, key=None)
    assert refused.value.exit_code == EXIT_USAGE
    with pytest.raises(ElspethError, match="does not hold in"):
        copy(path, target, key=b"another key")
    assert empty(target)


def test_another_run_with_this_id_is_left_alone(path: Path, target: Path) -> None:
    write_run(path)
    write_run(target, commits=1)
    with pytest.raises(ElspethError, match="is not the same"):
        copy(path, target)
    hold(target)


def test_what_was_purged_is_purged_in_the_copy_and_what_is_purged_later_is_not(path: Path, target: Path) -> None:
    write_run(path)
    with closing(AuditWriter(path, signing_key=KEY)) as writer:
        writer.purge(run_id=RUN, **WHO)
    copy(path, target)
    hold(target)
    assert ask(target, f"SELECT count(*) FROM operator_actions WHERE action = '{PURGE}'") == [(1,)]
    for table, columns in PURGEABLE.items():
        assert all(ask(target, f"SELECT count({column}) FROM {table}") == [(0,)] for column in columns)


def test_heartbeats_come_too_which_nothing_covers(path: Path, target: Path) -> None:
    write_run(path)
    copy(path, target)
    columns = ", ".join(f'"{column}"' for column in STATE["run_attempts"])
    assert ask(target, f"SELECT {columns} FROM run_attempts") == ask(path, f"SELECT {columns} FROM run_attempts")
