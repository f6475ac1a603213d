"""`pool_size`: rows side by side in one step, in turn in the others, and nothing of it to be seen in what comes out."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.oracle.checker import check
from tests.kit.processes import program

PLUGINS = '''
"""A step that must not be called twice at once, and one whose rows overtake each other."""

import threading

from elspeth.plugins.contract import RowError, Transform, TransientError


class Counted(Transform):
    """Refuses a row if more are inside the step at once than its node asks for."""

    limit = 1

    def setup(self, ctx):
        self.inside = 0
        self.changed = threading.Condition()

    def process(self, row, ctx):
        with self.changed:
            self.inside += 1
            self.changed.notify_all()
        try:
            self.expect_room(row)
            return self.answer(row, ctx)
        finally:
            with self.changed:
                self.inside -= 1

    def expect_room(self, row):
        if 4 <= row["id"] < 12:  # eight of them, so that all threads of the pool would meet here
            with self.changed:
                if self.changed.wait_for(lambda: self.inside > self.limit, timeout=0.05):
                    raise RowError(f"{self.inside} rows at once")


class InTurn(Counted):
    name = "in_turn"

    def answer(self, row, ctx):
        return row


class Overtaken(Counted):
    """Of the first three rows each waits until the next one is done; every fourth row needs a second try."""

    name = "overtaken"
    limit = 4

    def setup(self, ctx):
        super().setup(ctx)
        self.done = [threading.Event() for _ in range(4)]
        self.done[3].set()

    def answer(self, row, ctx):
        first = ctx.random.random()
        if row["id"] < 3:
            if not self.done[row["id"] + 1].wait(30):
                raise RowError("nobody came")
            self.done[row["id"]].set()
        if row["id"] % 4 == 0 and ctx.attempt == 1:
            raise TransientError("busy")
        draws = [first, ctx.random.random()]
        return {**row, "token": ctx.token_id, "key": ctx.idempotency_key, "attempt": ctx.attempt, "draws": draws}
'''

SETTINGS = """
plugins: [steps.py]
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: fixed, fields: ["id: int"]}}
  on_validation_failure: discard
transforms:
  - {name: alone, plugin: in_turn}
  - {name: slow, plugin: overtaken, pool_size: 4}
  - {name: wider, plugin: passthrough, pool_size: 8}
sinks: {out: {plugin: json, options: {path: out.jsonl, format: jsonl}}}
default_sink: out
retry: {max_attempts: 2, initial_delay_seconds: 0.001}
concurrency: {max_workers: 1}
"""


@pytest.fixture
def programs() -> Iterator[program.Programs]:
    with program.programs() as started:
        yield started


def test_rows_of_a_pool_overtake_each_other_and_leave_in_order_with_a_context_of_their_own(
    tmp_path: Path, programs: program.Programs
) -> None:
    (tmp_path / "steps.py").write_text(PLUGINS)
    (tmp_path / "pipeline.yaml").write_text(SETTINGS)
    (tmp_path / "input.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(64)))
    programs.call(tmp_path, "run", "--settings", "pipeline.yaml", "--execute")
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    db = sqlite3.connect(tmp_path / "runs" / "audit.db")
    refused = {reason for (reason,) in db.execute("SELECT error_json FROM transform_errors")}
    assert refused == set()
    assert [row["id"] for row in rows] == list(range(64))
    [(run_id,)] = db.execute("SELECT run_id FROM runs").fetchall()
    for row in rows:
        token = f"{run_id}-{row['id']:09d}"
        seeded = random.Random(f"{run_id}/slow/{token}")
        assert (row["token"], row["key"]) == (token, f"{token}/slow")
        assert row["draws"] == [seeded.random(), seeded.random()]
        assert row["attempt"] == (2 if row["id"] % 4 == 0 else 1)
    states = db.execute(
        "SELECT attempt, status, count(*) FROM node_states WHERE node_id = 'slow' GROUP BY attempt, status"
    ).fetchall()
    db.close()
    assert sorted(states) == [(1, "completed", 48), (1, "failed", 16), (2, "completed", 16)]
    settings, database = tmp_path / "pipeline.yaml", tmp_path / "runs" / "audit.db"
    assert check(settings, database, run_id, working_directory=tmp_path, recompute=False) == []


MEETING = '''
"""A step of which so many rows have to be inside at once, in all processes together, or none gets out."""

import os
import time
from pathlib import Path

from elspeth.plugins.contract import RowError, Transform

LOG = Path("inside.log")


def note(line):
    handle = os.open(LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(handle, line)  # at once and whole: the order of the lines is the order of what happened
    os.close(handle)


class Meeting(Transform):
    name = "meeting"

    def process(self, row, ctx):
        note(b"+")
        until = time.monotonic() + 60
        while LOG.read_bytes().count(b"+") < 8:
            ctx.progress()
            if time.monotonic() > until:
                raise RowError("nobody came")
            time.sleep(0.002)
        note(b"-")
        return {**row, "worker": 0}
'''

ACROSS = """
plugins: [meeting.py]
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: fixed, fields: ["id: int"]}}
  on_validation_failure: discard
STEPS
sinks: {out: {plugin: json, options: {path: out.jsonl, format: jsonl}}}
default_sink: out
concurrency: {max_workers: WORKERS}
"""

FIRST = "transforms: [{name: meet, plugin: meeting, pool_size: 8}]"
BEHIND = """
aggregations:
  - {name: pairs, plugin: sort, input: in, on_success: sorted, trigger: {count: 3}, options: {by: [id]}}
transforms: [{name: meet, plugin: meeting, pool_size: 8, input: sorted, on_success: out}]
"""


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("place", ["first", "behind an aggregation"])
def test_a_pool_is_one_for_all_workers_and_full(
    tmp_path: Path, programs: program.Programs, workers: int, place: str
) -> None:
    (tmp_path / "meeting.py").write_text(MEETING)
    settings = ACROSS.replace("STEPS", FIRST if place == "first" else BEHIND).replace("WORKERS", str(workers))
    if place != "first":
        settings = settings.replace("  plugin: csv", "  plugin: csv\n  on_success: in")
    (tmp_path / "pipeline.yaml").write_text(settings)
    (tmp_path / "input.csv").write_text("id\n" + "".join(f"{n}\n" for n in range(120)))
    programs.call(tmp_path, "run", "--settings", "pipeline.yaml", "--execute")
    assert [json.loads(line)["id"] for line in (tmp_path / "out.jsonl").read_text().splitlines()] == list(range(120))
    inside = most = 0
    for sign in (tmp_path / "inside.log").read_text():
        inside += 1 if sign == "+" else -1
        most = max(most, inside)
    assert most == 8
