"""Small records say what was given to them, in the words in which it was given, and are found by their keys."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from elspeth.audit.chain.records import COLUMNS, Records
from elspeth.audit.mapping import unwritten
from elspeth.audit.mapping.codes import text_of, time_of
from elspeth.audit.mapping.names import MOST_REASONS, Names
from elspeth.audit.mapping.pack import packed
from elspeth.audit.mapping.stored_frames import stored_frame, stored_records
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.audit.mapping.whole import fill
from elspeth.audit.store import schema, summary_views
from tests.kit.audit_records import RUN, tables

OTHERS = [f"mf3k2a{number:02d}" for number in range(50)]


@pytest.fixture
def database() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        schema.create(connection)
        for run in (*OTHERS, RUN):
            connection.execute(
                "INSERT INTO runs (run_id, status, started_at, attempt, settings_json, settings_hash, pipeline_hash,"
                " working_directory, elspeth_version, canonical_version, commit_no)"
                " VALUES (?, '', '', 1, '', '', '', '', '', '', 0)",
                (run,),
            )
        yield connection


def write(database: sqlite3.Connection, records: Records, commit: int = 7) -> None:
    known = Names(database, RUN)
    for table, made in packed(records).items():
        columns = STORED[table].columns
        marks = ", ".join("?" * (len(columns) + 1))
        database.executemany(
            f"INSERT INTO {table} (commit_no, {', '.join(columns)}) VALUES ({marks})",
            [(commit, *record) for record in stored_records(table, stored_frame(table, made), known.numbers)],
        )


def read(database: sqlite3.Connection) -> dict[str, list[Any]]:
    return {
        table: database.execute(f"SELECT {', '.join(COLUMNS[table])} FROM {table} ORDER BY 1").fetchall()
        for table in HELD_IN
    }


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_what_is_read_is_what_was_written_whatever_it_was(database: sqlite3.Connection, records: Records) -> None:
    for table in (*STORED, "names"):
        database.execute(f"DELETE FROM {table}")
    write(database, records)
    # repr: 0.0 is not -0.0, and 1 is not 1.0.
    assert repr(read(database)) == repr(
        {table: sorted(records[table], key=lambda record: record[0]) for table in HELD_IN}
    )
    for table in HELD_IN:
        asked = (
            f"SELECT run_id, commit_no, row_index = CAST(substr({COLUMNS[table][0]}, 10, 9) AS INTEGER) FROM {table}"
        )
        assert {found[:2] for found in database.execute(asked)} <= {(RUN, 7)}
        assert table == "rows" or all(found[2] for found in database.execute(asked))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_tables_of_an_earlier_layout_come_out_as_they_were(database: sqlite3.Connection, records: Records) -> None:
    for statement in schema.plain_statements():
        name = statement.split('"', 2)[1]
        if name in HELD_IN:
            database.execute(f'DROP TABLE IF EXISTS "old_{name}"')
            database.execute(statement.replace(f'"{name}"', f'"old_{name}"', 1))
    for table in (*STORED, "names"):
        database.execute(f"DELETE FROM {table}")
    for table, made in records.items():
        columns = ("commit_no", "run_id", *COLUMNS[table])
        marks = ", ".join("?" * len(columns))
        database.executemany(
            f"INSERT INTO old_{table} ({', '.join(columns)}) VALUES ({marks})", [(3, RUN, *record) for record in made]
        )
    for form in STORED.values():
        fill(database, form, lambda table: f'"old_{table}"')
    for table in HELD_IN:
        columns = ", ".join(["commit_no", "run_id", *COLUMNS[table]])
        was = database.execute(f"SELECT {columns} FROM old_{table} ORDER BY {COLUMNS[table][0]}").fetchall()
        assert repr(database.execute(f"SELECT {columns} FROM {table} ORDER BY 3").fetchall()) == repr(was)


def gate(index: int, reason: str) -> Records:
    row, at = f"{RUN}-{index:09d}", "2026-11-26T01:02:03.004Z"
    return {
        "rows": [(row, index, "source", "ab" * 32, "{}", None, index + 2, at)],
        "tokens": [(row, row, None, at)],
        "node_states": [
            (f"{row}:0", row, "gate", 0, 1, "completed", "ab" * 32, "ab" * 32, None, None, None, at, at, 0.25)
        ],
        "routing_events": [(f"{row}:0", f"{row}:0", "gate:true", "move", reason, at)],
        "token_outcomes": [(f"{row}=", row, "routed", 1, "high", index + 1, None, None, at)],
    }


def test_a_row_that_went_through_a_gate_is_three_records_and_nothing_in_them_is_said_twice(
    database: sqlite3.Connection,
) -> None:
    for index in range(20):
        write(database, gate(index, "because"))
    assert [database.execute(f"SELECT count(*) FROM {table}").fetchone() for table in STORED] == [(20,)] * 3
    held = sum(
        len(value) if isinstance(value, str | bytes) else 6
        for table in STORED
        for value in database.execute(f"SELECT * FROM {table} LIMIT 1 OFFSET 19").fetchone()
        if value not in (None, 0, 1)
    )
    assert held < 18 + 20 + 19 + 32 + 2 + 7 * 6 + 4 + 40, held
    assert dict(database.execute("SELECT name, count(*) FROM names GROUP BY 1")) == {
        "source": 1, "gate": 1, "gate:true": 1, "because": 1, "high": 1
    }  # fmt: skip


def test_reasons_that_are_others_for_each_row_are_not_collected(database: sqlite3.Connection) -> None:
    for index in range(MOST_REASONS + 20):
        write(database, gate(index, f"because of {index}"))
    assert database.execute("SELECT count(*) FROM names WHERE name_no < 0").fetchone() == (MOST_REASONS,)
    assert [reason for (reason,) in database.execute("SELECT reason_json FROM routing_events ORDER BY event_id")] == [
        f"because of {index}" for index in range(MOST_REASONS + 20)
    ]


QUESTIONS = {
    **{f"{table} by {key}": f"SELECT * FROM {table} WHERE {key} = ?" for table, key in (
        *((table, "run_id") for table in HELD_IN), *((table, COLUMNS[table][0]) for table in HELD_IN),
        ("node_states", "token_id"), ("token_outcomes", "token_id"),
    )},
    "rows of a run": "SELECT count(*) FROM rows WHERE run_id = ?",
    "a row by its index": "SELECT * FROM rows WHERE run_id = ? AND row_index = 3",
    "rows of each run": "SELECT run_id, status, (SELECT count(*) FROM rows WHERE rows.run_id = runs.run_id) FROM runs"
    " WHERE started_at < ? ORDER BY started_at DESC LIMIT 10",
    "ends of a run": "SELECT outcome, sink_name, count(*) FROM token_outcomes WHERE run_id = ? GROUP BY 1, 2",
    "ended": "SELECT count(*) FROM token_outcomes WHERE run_id = ? AND is_terminal = 1",
    "an id and where it ended": "SELECT * FROM tokens AS t JOIN token_outcomes AS o ON o.token_id = t.token_id"
    " WHERE t.token_id = ?",
    "a state with its ways": "SELECT * FROM node_states AS s JOIN routing_events AS r ON r.state_id = s.state_id"
    " WHERE s.state_id = ?",
    "ways of a state": "SELECT * FROM routing_events WHERE state_id = ?",
    "a range of ids": "SELECT * FROM node_states WHERE state_id >= ? AND state_id < 'n' ORDER BY state_id",
    "the last row": "SELECT commit_no FROM rows WHERE row_id >= ? AND row_id < 'n' ORDER BY row_id DESC LIMIT 1",
}  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS)
def test_what_is_asked_is_found_by_a_key_with_fifty_runs_in_the_database(
    question: str, database: sqlite3.Connection
) -> None:
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {QUESTIONS[question]}", (RUN,))]
    scanned = [step for step in plan if step.startswith("SCAN")]
    allowed = {"SCAN runs"} if question == "rows of each run" else set()
    assert set(scanned) <= allowed, plan
    assert not any("AUTOMATIC" in step for step in plan), plan
    ordered = any("ORDER BY" in step for step in plan)
    assert ordered == (question == "rows of each run"), plan


@pytest.mark.parametrize(
    "question",
    [
        "SELECT * FROM row_story WHERE row_id = ? ORDER BY token_id, place, step",
        "SELECT * FROM row_story WHERE run_id = ? AND row_index = 3",
        "SELECT * FROM failures_by_reason WHERE run_id = ? ORDER BY tokens DESC",
    ],
)
def test_a_ready_question_reads_no_other_runs_records(question: str, database: sqlite3.Connection) -> None:
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {question}", (RUN,))]
    views = "|".join(summary_views.COLUMNS)
    assert not [step for step in plan if re.match(rf"SCAN (?!{views})\w", step) or "AUTOMATIC" in step], plan


def unwritten_reads(database: sqlite3.Connection, table: str) -> list[Any]:
    columns, key = (*COLUMNS[table], "run_id", "commit_no"), COLUMNS[table][0]
    names = ", ".join(columns)
    asked = f"SELECT {{}} FROM {{}} WHERE {key} >= '{RUN}' AND {key} < '{RUN}~' ORDER BY 1"
    unasked = names.replace("run_id", f"'{RUN}'")
    found = database.execute(asked.format(unasked, f"({unwritten.select(table)})")).fetchall()
    written = unwritten.Writer(database, table, RUN, columns).written(found)
    assert repr(written) == repr(database.execute(asked.format(names, table)).fetchall())
    return written


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tables())
def test_what_is_written_out_by_us_is_what_the_views_say(database: sqlite3.Connection, records: Records) -> None:
    for table in (*STORED, "names"):
        database.execute(f"DELETE FROM {table}")
    write(database, records)
    for table in HELD_IN:
        assert len(unwritten_reads(database, table)) == len(records[table])


STRANGE = [None, 0, 1, -1, 2**62, 253402300799999, 253402300800000, 1767323045678, 1.5, 1.0, 1e300, "", "x", "12", b"",
           b"\x00" * 32, b"ab" * 16, b"\xff", "ab" * 32]  # fmt: skip


@pytest.mark.parametrize("value", STRANGE, ids=repr)
def test_so_it_is_whatever_somebody_puts_into_a_record(database: sqlite3.Connection, value: object) -> None:
    for index in range(3):
        write(database, gate(index, "because"))
    for name, form in STORED.items():
        for column in form.columns[1:]:
            with database:
                database.execute("SAVEPOINT untouched")
                try:
                    database.execute(f'UPDATE {name} SET "{column}" = ? WHERE {form.key} LIKE "%1%"', (value,))
                except sqlite3.IntegrityError:
                    continue  # NULL where the schema forbids it
                finally:
                    try:
                        for table in form.holds:
                            unwritten_reads(database, table)
                    finally:
                        database.execute("ROLLBACK TO untouched")


@pytest.mark.parametrize("more", ["", "!", ".", "x", "-", "-000000001", "}", ".5-7"])
def test_so_it_is_for_keys_that_only_begin_as_those_of_the_run(database: sqlite3.Connection, more: str) -> None:
    for index in range(3):
        write(database, gate(index, "because"))
    for form in STORED.values():
        for place in ("-000000000", "-000000002", "-00"):
            key = f"{RUN}{more}{place}:7" if form.name == "state_records" else f"{RUN}{more}{place}="
            more_columns = ", ".join((*form.columns[1:], "commit_no"))
            copied = f"SELECT ?, {more_columns} FROM {form.name} LIMIT 1"
            database.execute(f"INSERT OR IGNORE INTO {form.name} ({form.key}, {more_columns}) {copied}", (key,))
        for table in form.holds:
            assert unwritten_reads(database, table)


@given(st.integers(0, unwritten.LATEST - 1))
def test_a_time_is_written_as_sql_writes_it(at: int) -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        (found,) = database.execute(f"SELECT {time_of('?1')}", (at,)).fetchone()
    assert text_of(at) == found
