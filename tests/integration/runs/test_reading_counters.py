"""Counters: how much work it is to read them, and that they are what the records say, with and without tallies."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from msgspec import UNSET, structs

from elspeth import ids
from elspeth.audit.query.counters import Counters, counters
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.store.tallies import on_record
from elspeth.coordinator.checkpoint import Checkpoint, counted, start_checkpoint
from elspeth.coordinator.tally import NodeTally, Tally
from elspeth.runs.views.report.page import page
from elspeth.runs.views.report.value import report
from elspeth.runs.views.status import status
from tests.kit.fixtures.sample_run import ATTEMPT, NOW, RUN, RUN_COLUMNS

STEPS = 5_000
"""So many steps of SQLite's machine are much more than any question about counters takes."""

FILL = """
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < :rows)
INSERT INTO {table} SELECT {values} FROM n
"""
ROW = f"printf('{RUN}-%09d', i)"
RECORDS = {
    "token_records": f"{ROW}, 1, 'source', '', '', NULL, i, '', NULL, NULL, NULL, NULL, 1",
    "state_records": f"{ROW} || ':0', 2, 'gate', 1, 0, 1, '', 1, NULL, NULL, NULL, '', '', 1000, 'gate:true', 1, NULL,"
    " '', NULL, 1",
    "outcome_records": f"{ROW} || '=', 1, 'high', i + 1, NULL, NULL, '', NULL, 1",
}  # fmt: skip


def checkpoint(rows: int, tally: Tally | None) -> Checkpoint:
    """A checkpoint behind so many rows of `large`."""
    found = structs.replace(
        start_checkpoint({}), micro_batch=rows, row_count=rows, outcome_counts={"completed": rows},
        written_counts={"high": rows},
    )  # fmt: skip
    return found if tally is None else structs.replace(found, **counted({}, tally))


def tally_of(rows: int) -> Tally:
    gate = NodeTally(rows, 0, 1_000 * rows, 1_000 if rows else 0)
    return Tally({0: gate, 1: NodeTally(rows), 2: NodeTally(rows)}, {0: rows, 1: rows}, rows)


def large(path: Path, rows: int, checkpoints: list[Checkpoint]) -> Path:
    """A database with the records of so many rows, made by SQL alone, and these checkpoints."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        schema.create(db)
        db.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
        run = {**RUN_COLUMNS, "status": "interrupted", "started_at": NOW, "attempt": 1, "commit_no": 0}
        attempt = {**ATTEMPT, "run_id": RUN, "attempt": 1, "started_at": NOW, "ended_at": NOW, "commit_no": 0,
                   "heartbeat_number": 0}  # fmt: skip
        for table, columns in (("runs", run), ("run_attempts", attempt)):
            quoted = ", ".join(f'"{name}"' for name in columns)
            marks = ", ".join("?" * len(columns))
            db.execute(f"INSERT INTO {table} ({quoted}) VALUES ({marks})", tuple(columns.values()))
        for place, (node, kind) in enumerate((("source", "source"), ("gate", "gate"), ("high", "sink"))):
            db.execute(
                "INSERT INTO nodes VALUES (?, ?, 'csv', ?, '', '', '', '{}', '', ?, 0, 0)", (node, RUN, kind, place)
            )
        for edge, start, end in (("source:continue", "source", "gate"), ("gate:true", "gate", "high")):
            label = edge.partition(":")[2]
            db.execute("INSERT INTO edges VALUES (?, ?, ?, ?, ?, 'move', 0)", (edge, RUN, start, end, label))
        for table, values in RECORDS.items():
            db.execute(FILL.format(table=table, values=values), {"rows": rows})
        store(db, checkpoints)
        db.execute("COMMIT")
    return path


def store(db: sqlite3.Connection, checkpoints: list[Checkpoint]) -> None:
    for one in checkpoints:
        db.execute(
            "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, 1, ?, NULL, NULL, ?, ?, 1)",
            (ids.checkpoint_id(RUN, one.micro_batch), RUN, one.micro_batch, one.to_json(), NOW),
        )


def steps(path: Path) -> tuple[int, Counters]:
    """How many hundreds of steps of SQLite's machine it takes to tell the whole status of the run."""
    taken = 0

    def step() -> int:
        nonlocal taken
        taken += 1
        return 0

    with AuditReader(path) as reader:
        reader.connection.set_progress_handler(step, 100)
        found = status(reader, RUN)
        at_all = taken
        reader.connection.set_progress_handler(None, 0)
        assert found.balance.rows == found.balance.terminal == found.balance.tokens
        return at_all, counters(reader, RUN)


def drawn(path: Path) -> str:
    with AuditReader(path) as reader:
        return page(report(reader, RUN))


def test_the_status_of_3_000_000_rows_is_read_with_the_work_of_1_000_and_the_report_is_as_small(tmp_path: Path) -> None:
    behind = 200  # rows that were committed one at a time, without a tally
    taken, pages = {}, {}
    for rows in (1_000, 3_000_000):
        path = large(tmp_path / f"{rows}.db", rows, [checkpoint(rows - behind, tally_of(rows - behind))])
        single = [structs.replace(checkpoint(rows - at, tally_of(0)), tally=UNSET) for at in reversed(range(behind))]
        for what, more in (("single rows", single), ("a tally", [checkpoint(rows, tally_of(rows))])):
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                store(db, more)
            taken[what, rows], found = steps(path)
            assert found == Counters(
                rows, rows, 0.0, {"completed": rows}, {"high": rows},
                {"source": NodeTally(rows), "gate": NodeTally(rows, 0, 1_000 * rows, 1_000), "high": NodeTally(rows)},
                {"source:continue": rows, "gate:true": rows},
            )  # fmt: skip
        pages[rows] = len(drawn(path).encode())
        path.unlink()
    assert pages[3_000_000] < 100_000
    assert pages[3_000_000] < pages[1_000] + 1_000  # the numbers have more digits
    for what in ("single rows", "a tally"):
        assert taken[what, 3_000_000] <= 2 * taken[what, 1_000], taken
    assert taken["a tally", 3_000_000] * 100 < STEPS


def test_a_checkpoint_of_an_older_elspeth_is_counted_on_record(tmp_path: Path) -> None:
    path = large(tmp_path / "a.db", 500, [checkpoint(500, None)])
    with AuditReader(path) as reader:
        found = reader.latest(RUN)
        assert found is not None
        assert found.tally == tally_of(500) == on_record(reader.connection, RUN)
        assert on_record(reader.connection, RUN, 400).nodes[1] == NodeTally(100)


def test_behind_a_checkpoint_of_an_older_elspeth_a_tally_that_is_left_out_is_not_looked_for_before_it(
    tmp_path: Path,
) -> None:
    # An older one went on with the run: what it did need not be of its own rows alone.
    wrong = Tally({0: NodeTally(9_999)}, {}, 9_999)
    stored = [checkpoint(100, wrong), checkpoint(200, None), structs.replace(checkpoint(201, wrong), tally=UNSET)]
    with AuditReader(large(tmp_path / "a.db", 201, stored)) as reader:
        found = reader.latest(RUN)
        assert found is not None
        assert found.tally == tally_of(201)


def test_without_a_checkpoint_all_is_counted_on_record(tmp_path: Path) -> None:
    with AuditReader(large(tmp_path / "a.db", 50, [])) as reader:
        found = counters(reader, RUN)
    assert (found.rows, found.tokens, found.outcomes, found.written) == (50, 50, {"completed": 50}, {"high": 50})
    assert found.edges == {"source:continue": 50, "gate:true": 50}
