from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

from tests.cli.running import elspeth, tree

RUN = ("run", "--settings", "pipeline.yaml", "--execute")


@pytest.fixture
def completed(threshold: Path) -> str:
    done = elspeth(*RUN, cwd=threshold)
    assert done.returncode == 0, done.stderr
    (run_id,) = sqlite3.connect(threshold / "runs/audit.db").execute("SELECT run_id FROM runs").fetchone()
    return str(run_id)


def test_a_complete_run_is_left_alone(threshold: Path, completed: str) -> None:
    before = tree(threshold)
    for reference in (completed, completed[:6], "latest"):
        done = elspeth("resume", reference, cwd=threshold)
        assert done.returncode == 0, done.stderr
        assert f"Run {completed} was completed at " in done.stdout
        assert "Nothing was done." in done.stdout
    assert tree(threshold) == before


def test_a_complete_run_is_told_to_programs_with_its_counts(threshold: Path, completed: str) -> None:
    told = json.loads(elspeth("resume", completed, "--json", cwd=threshold).stdout)
    assert (told["status"], told["run_id"], told["rows"], told["exit_code"]) == ("completed", completed, 8, 0)
    assert told["outcomes"] == {"completed": 4, "routed": 3, "quarantined": 1}


def test_an_unknown_run_is_exit_4_with_the_runs_that_exist(threshold: Path, completed: str) -> None:
    done = elspeth("resume", "zzzzzzzz", cwd=threshold)
    assert done.returncode == 4
    assert "Run not found" in done.stderr
    assert completed in done.stderr


def test_a_wrong_database_never_creates_a_file(threshold: Path) -> None:
    before = tree(threshold)
    done = elspeth("resume", "latest", "--database", "nowhere/audit.db", cwd=threshold)
    assert done.returncode == 2
    assert "does not exist" in done.stderr
    assert tree(threshold) == before


def test_without_a_database_it_says_where_it_looked(tmp_path: Path) -> None:
    done = elspeth("resume", "latest", cwd=tmp_path)
    assert done.returncode == 1
    assert "runs/audit.db does not exist" in done.stderr
    assert "state/audit.db does not exist" in done.stderr
