"""Verification finds any change to any value, any record too many or too few, and says where."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from elspeth.audit.chain import digests
from elspeth.audit.chain.records import COLUMNS, PURGEABLE
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.run import verify_run
from elspeth.audit.writer import AuditWriter
from elspeth.errors import RunNotFound
from tests.kit.fixtures.sample_run import ATTEMPT, KEY, NOW, RUN, RUN_COLUMNS, beginning, rows
from tests.kit.fixtures.tampering import is_told_by_the_key, raw, tampering

EXEMPT = {("run_attempts", "heartbeat_number"), ("run_attempts", "heartbeat_at")}


def columns() -> list[tuple[str, str]]:
    """Every column of every table that there is, and of every one that people read."""
    found = []
    for create in (schema.create, schema.create_plain):
        connection = sqlite3.connect(":memory:")
        create(connection)
        tables = schema.tables(connection)
        found += [(table, row[1]) for table in tables for row in connection.execute(f"PRAGMA table_info({table})")]
        connection.close()
    return list(dict.fromkeys(found))


def findings(path: Path, run: str = RUN, key: bytes | None = KEY) -> list[Discrepancy]:
    with AuditReader(path) as reader:
        return verify_run(reader, run, key)


def test_an_untouched_run_holds(finished: Path) -> None:
    assert findings(finished) == []


def test_the_sample_fills_every_audited_table(finished: Path) -> None:
    connection = sqlite3.connect(finished)
    assert [table for table in COLUMNS if not connection.execute(f"SELECT 1 FROM {table}").fetchone()] == []
    connection.close()


def other(value: Any) -> list[Any]:
    """Values that are not `value` though some look like it."""
    if value is None:
        return ["x", 0, ""]
    if isinstance(value, bytes):
        return [value[:-1] + bytes([value[-1] ^ 1]), None]
    if isinstance(value, str):
        return [value + " ", "x", value.encode(), None]
    return [value + 1, str(value) + "x", None]


@pytest.mark.parametrize(("table", "column"), columns(), ids=lambda name: name)
def test_a_changed_value_is_found(table: str, column: str, copy: Path) -> None:
    with tampering(copy) as database:
        keys = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5]]
        where = " AND ".join(f"{key} = ?" for key in keys)
        query = f'SELECT "{column}", {", ".join(keys)} FROM {table} ORDER BY {", ".join(keys)} DESC LIMIT 1'
        value, *key = database.execute(query).fetchone()
    pristine = copy.read_bytes()
    changed = 0
    for new in other(value):
        copy.write_bytes(pristine)
        try:
            with tampering(copy) as database:
                database.execute(f'UPDATE {table} SET "{column}" = ? WHERE {where}', (new, *key))
            with raw(copy) as database:
                there = f'SELECT count(*) FROM {table} WHERE "{column}" IS ?'
                stored = database.execute(
                    *((there, (new,)) if column in keys else (f"{there} AND {where}", (new, *key)))
                )
                if not stored.fetchone()[0]:
                    continue  # the column's affinity made it the old value again, or the key says what it is
        except sqlite3.IntegrityError:
            continue  # NULL where the schema forbids it
        changed += 1
        try:
            found = bool(findings(copy))
        except RunNotFound:
            found = True  # the run is not there under its id any more
        assert found != ((table, column) in EXEMPT), new
    assert changed or is_told_by_the_key(table, column)


@pytest.mark.parametrize("table", [*COLUMNS, "run_attempts", "commits", "commit_tables"])
@pytest.mark.parametrize("which", ["first", "last"])
def test_a_deleted_record_is_found(table: str, which: str, copy: Path) -> None:
    with tampering(copy) as database:
        keys = [row[1] for row in database.execute(f"PRAGMA table_info({table})") if row[5]]
        order = "ASC" if which == "first" else "DESC"
        by = ", ".join(f"{key} {order}" for key in keys)
        row = database.execute(f"SELECT {', '.join(keys)} FROM {table} ORDER BY {by} LIMIT 1").fetchone()
        database.execute(f"DELETE FROM {table} WHERE {' AND '.join(f'{key} = ?' for key in keys)}", row)
    found = {finding.table for finding in findings(copy)}
    assert (table if table != "commit_tables" else "commits") in found


@pytest.mark.parametrize("table", [*COLUMNS, "run_attempts", "commits", "commit_tables"])
@pytest.mark.parametrize("where", ["inside", "behind", "foreign"])
def test_an_inserted_record_is_found(table: str, where: str, copy: Path) -> None:
    with tampering(copy) as database:
        info = list(database.execute(f"PRAGMA table_info({table})"))
        names = [row[1] for row in info]
        record = dict(zip(names, database.execute(f"SELECT * FROM {table}").fetchone(), strict=True))
        for _, name, kind, *_, is_key in info:
            if is_key and name != "run_id":
                new = {"inside": "!!", "behind": "}}", "foreign": None}[where]
                if kind == "INTEGER":
                    record[name] = 1000
                else:
                    record[name] = record[name] + new if new else "zzzzzzzz-" + record[name]
        if where == "foreign":
            record["run_id"] = "zzzzzzzz"
        database.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(names))})", tuple(record.values()))
    assert findings(copy)


def test_the_changed_record_and_its_commit_are_named(copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE node_states SET status = 'failed' WHERE state_id = 'mf3k2a9x-000000013:1'")
    (finding,) = findings(copy)
    assert (finding.kind, finding.table, finding.record) == ("changed", "node_states", "mf3k2a9x-000000013:1")
    assert finding.commit_no == 2


def test_changed_row_data_is_named_even_if_it_means_the_same(copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE rows SET source_data = replace(source_data, ':', ': ') WHERE row_index = 5")
    (finding,) = findings(copy)
    assert (finding.kind, finding.record) == ("changed", "mf3k2a9x-000000005")


def test_a_removed_record_is_told_from_a_changed_one(copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("DELETE FROM routing_events WHERE event_id = 'mf3k2a9x-000000013:1'")
    (finding,) = findings(copy)
    assert (finding.kind, finding.commit_no) == ("removed", 2)
    assert "behind mf3k2a9x-000000012:1" in finding.sentence


def test_a_moved_record_is_told_from_a_removed_and_an_added_one(copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE token_outcomes SET commit_no = 1 WHERE token_id = 'mf3k2a9x-000000013'")
    (finding,) = findings(copy)
    assert finding.kind == "moved"
    assert "from commit 2 to 1" in finding.sentence


def test_an_operators_own_update_of_the_status_is_reported_as_what_it_is(copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE runs SET status = 'failed'")
    assert [finding.kind for finding in findings(copy)] == ["state"]
    assert "'failed', its events say 'completed'" in findings(copy)[0].sentence


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE token_records ADD COLUMN note TEXT",
        "ALTER TABLE calls RENAME COLUMN call_type TO kind",
        "DROP VIEW rows",
        "DROP TABLE names",
        "DROP TABLE calls",
        "CREATE TABLE more (x)",
        "CREATE INDEX fast ON token_records (row_index)",
        "CREATE VIEW v AS SELECT 1",
        "CREATE TRIGGER t AFTER INSERT ON token_records BEGIN DELETE FROM calls; END",
        "CREATE TRIGGER t INSTEAD OF INSERT ON rows BEGIN DELETE FROM calls; END",
    ],
)
def test_an_altered_schema_is_found(statement: str, copy: Path) -> None:
    with raw(copy) as database:
        database.execute(statement)
    assert [finding.kind for finding in findings(copy)] == ["schema"]


def rebuild(path: Path) -> None:
    """Change a record and make the chain fit again, as somebody would who knows how but has no key."""
    with tampering(path) as database:
        database.execute("UPDATE token_outcomes SET sink_name = 'low' WHERE commit_no = 1")
        columns = ", ".join(COLUMNS["token_outcomes"])
        records = database.execute(f"SELECT {columns} FROM token_outcomes WHERE commit_no = 1 ORDER BY 1").fetchall()
        made = digests.digest_table("token_outcomes", records)
        database.execute(
            "UPDATE commit_tables SET digest = ?, marks = ? WHERE commit_no = 1 AND table_name = 'token_outcomes'",
            (made.digest, made.marks),
        )
        previous = digests.GENESIS
        for number, attempt, at in database.execute("SELECT commit_no, attempt, committed_at FROM commits").fetchall():
            parts = database.execute(
                "SELECT table_name, record_count, digest, marks, purgeable_digest, purgeable_marks FROM commit_tables"
                " WHERE commit_no = ?",
                (number,),
            )
            tables = [digests.TableDigest(*row) for row in parts]
            digest = digests.digest_commit(previous, RUN, attempt, number, at, tables)
            database.execute(
                "UPDATE commits SET previous_digest = ?, digest = ? WHERE commit_no = ?", (previous, digest, number)
            )
            previous = digest


def test_a_rebuilt_chain_passes_without_the_key_and_not_with_it(copy: Path) -> None:
    rebuild(copy)
    assert findings(copy, key=None) == []
    assert {finding.kind for finding in findings(copy)} == {"signature"}


def test_a_rebuilt_chain_without_signatures_does_not_pass_with_the_key(copy: Path) -> None:
    rebuild(copy)
    with tampering(copy) as database:
        database.execute("UPDATE commits SET signature = NULL")
    assert {finding.kind for finding in findings(copy)} == {"signature"}


def test_another_key_does_not_pass(copy: Path) -> None:
    assert {finding.kind for finding in findings(copy, key=b"another")} == {"signature"}


def second_run(path: Path, run: str) -> None:
    writer = AuditWriter(path, signing_key=KEY)
    start = {**beginning(), "checkpoints": []}
    writer.create_run({**RUN_COLUMNS, "run_id": run}, ATTEMPT, start)
    writer.commit(run, 1, rows(0, 3, run=run), {"status": "completed", "completed_at": None})
    writer.close()


def test_the_removal_of_a_whole_run_shows_in_the_next_one(copy: Path) -> None:
    second_run(copy, "mf3k2b00")
    second_run(copy, "mf3k2b01")
    assert findings(copy, "mf3k2b01") == []
    with tampering(copy) as database:
        for table in [*schema.tables(database), *HELD_IN]:
            if table not in STORED:
                database.execute(f"DELETE FROM {table} WHERE run_id = 'mf3k2b00'")
    (finding,) = findings(copy, "mf3k2b01")
    assert "a run before it was removed" in finding.sentence


def test_a_run_started_by_a_clock_set_back_still_holds(copy: Path) -> None:
    second_run(copy, "aaaaaaaa")
    assert findings(copy, "aaaaaaaa") == []
    assert findings(copy) == []


def test_a_purge_leaves_everything_checkable(copy: Path) -> None:
    writer = AuditWriter(copy, signing_key=KEY)
    writer.purge(run_id=RUN, user="ada", uid=1000, command_line="elspeth purge", reason="90 days")
    writer.close()
    with tampering(copy) as database:
        for table, names in PURGEABLE.items():
            for name in names:
                assert database.execute(f"SELECT count({name}) FROM {table}").fetchone() == (0,)
    assert findings(copy) == []
    with tampering(copy) as database:
        database.execute("UPDATE rows SET source_data_hash = 'x' WHERE row_index = 3")
    assert [finding.kind for finding in findings(copy)] == ["changed"]


def test_a_purge_that_nobody_recorded_is_found(copy: Path) -> None:
    with tampering(copy) as database:
        database.execute("UPDATE rows SET source_data = NULL")
    assert {finding.kind for finding in findings(copy)} == {"removed"}


def test_data_put_back_after_a_purge_is_found(copy: Path) -> None:
    writer = AuditWriter(copy, signing_key=KEY)
    writer.purge(run_id=RUN, user="ada", uid=1000, command_line="elspeth purge")
    writer.close()
    with tampering(copy) as database:
        database.execute("UPDATE rows SET source_data = '{}' WHERE row_index = 3")
    assert {finding.table for finding in findings(copy)} == {"rows"}


def test_marks_put_back_after_a_purge_are_found(copy: Path) -> None:
    writer = AuditWriter(copy, signing_key=KEY)
    writer.purge(run_id=RUN, user="ada", uid=1000, command_line="elspeth purge")
    writer.close()
    with tampering(copy) as database:
        database.execute("UPDATE commit_tables SET purgeable_marks = x'00' WHERE commit_no = 2 AND table_name = 'rows'")
    assert [finding.table for finding in findings(copy)] == ["commit_tables"]


def test_what_is_missing_from_a_commit_after_the_purge_was_not_purged(path: Path) -> None:
    writer = AuditWriter(path)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 3), {"status": "failed", "completed_at": NOW})
    who: Any = {"run_id": RUN, "user": "ada", "uid": 1000, "command_line": "elspeth", "reason": None}
    writer.purge(**who)
    writer.operator_action(action="reopen", changes={"completed_at": None}, **who)
    writer.begin_attempt(RUN, 1, ATTEMPT, {})
    writer.commit(RUN, 2, rows(3, 5, number=2))
    writer.close()
    assert findings(path, key=None) == []
    with tampering(path) as database:
        database.execute("UPDATE rows SET source_data = NULL")
        database.execute("UPDATE commit_tables SET purgeable_marks = NULL")
    assert findings(path, key=None)


def broken(change: Callable[[dict[str, list[Any]]], None]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        writer = AuditWriter(path)
        writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
        records = rows(0, 3)
        change(records)
        writer.commit(RUN, 1, records, {"status": "completed"})
        writer.close()

    return write


def replace(table: str, at: int, column: str, value: Any) -> Callable[[dict[str, list[Any]]], None]:
    def change(records: dict[str, list[Any]]) -> None:
        record = list(records[table][at])
        record[COLUMNS[table].index(column)] = value
        records[table][at] = tuple(record)

    return change


def drop(table: str, at: int) -> Callable[[dict[str, list[Any]]], None]:
    def change(records: dict[str, list[Any]]) -> None:
        del records[table][at]

    return change


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (replace("rows", 1, "source_data", '{"id":9}'), "hash"),
        (replace("node_states", 1, "output_data", "not json"), "hash"),
        (replace("tokens", 1, "row_id", f"{RUN}-000000099"), "reference"),
        (replace("node_states", 1, "node_id", "nowhere"), "reference"),
        (replace("routing_events", 1, "edge_id", "gate:maybe"), "reference"),
        (replace("token_outcomes", 1, "outcome", "buffered"), "account"),
        (replace("token_outcomes", 1, "outcome_id", f"{RUN}-000000001=2"), "account"),
        (drop("token_outcomes", 1), "account"),
        (drop("tokens", 1), "account"),
        (drop("tokens", 1), "reference"),
        (replace("rows", 2, "row_index", 7), "account"),
    ],
)
def test_records_that_contradict_each_other_are_found_though_the_chain_holds(
    change: Callable[[dict[str, list[Any]]], None], kind: str, path: Path
) -> None:
    broken(change)(path)
    found = {finding.kind for finding in findings(path, key=None)}
    assert kind in found
    assert found <= {"hash", "reference", "account"}


def test_an_unfinished_run_owes_no_outcomes(path: Path) -> None:
    writer = AuditWriter(path)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    records = rows(0, 3)
    records["token_outcomes"].pop()
    writer.commit(RUN, 1, records)
    writer.close()
    assert findings(path, key=None) == []
