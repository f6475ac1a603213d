"""A sink that is no file: its rows are there exactly once, whenever the run is killed."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.program import ROOT, Programs
from tests.kit.processes.recorded_run import run_id

SETTINGS = "plugins: [table_sink.py]\n" + DECIDING.replace(
    "low: {plugin: csv, options: {path: output/low.csv}}", "low: {plugin: table, options: {path: low.db, table: low}}"
)
RUN = ("run", "--settings", "pipeline.yaml", "--execute")


def table_of(folder: Path) -> list[Any]:
    with closing(sqlite3.connect(folder / "low.db")) as db:
        return db.execute("SELECT _row, id, amount, note, twice FROM low ORDER BY _row").fetchall()


def made(folder: Path) -> Path:
    lay_out(folder, SETTINGS)
    (folder / "table_sink.py").write_bytes((ROOT / "ops/examples/plugins/table_sink.py").read_bytes())
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    from tests.kit.processes.program import programs

    folder = made(tmp_path_factory.mktemp("undisturbed") / "run")
    with programs() as started:
        started.call(folder, *RUN)
    rows = table_of(folder)
    assert [number for number, *_ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) > 100
    return rows


@pytest.mark.parametrize("tree", [True, False], ids=["the-run", "the-sink"])
@pytest.mark.parametrize("point", ["sink.after_write", "sink.before_flush", "sink.after_flush", "sink.after_finish"])
def test_the_rows_of_a_table_are_there_once_after_a_kill(
    point: str, tree: bool, tmp_path: Path, programs: Programs, undisturbed: list[Any]
) -> None:
    folder, mark = made(tmp_path / "run"), tmp_path / "mark"
    passing = 1 if point == "sink.after_finish" else 4
    arms = {"CRASH_POINT": f"{point}:{passing}:{mark}", "CRASH_GROUP": str(int(tree))}
    programs.start(folder, *RUN, **arms).ends_with(-9 if tree else 0)
    assert mark.exists(), "the point did not fire"
    run = run_id(folder / "runs/audit.db")
    if tree:
        programs.call(folder, "resume", run)
    assert table_of(folder) == undisturbed
    programs.call(folder, "verify", run, "--outputs")
