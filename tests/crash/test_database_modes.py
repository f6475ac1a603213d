"""What a death leaves of the audit database while it is put into use and to rest, read by people and by commands."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from tests.crash.test_sweep import armed, run_words
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.processes.program import Programs
from tests.kit.processes.recorded_run import run_id
from tests.kit.processes.waiting import wait_until

MODES = ("audit.before_in_use", "audit.after_in_use", "audit.before_at_rest", "audit.after_at_rest")
SHELL = shutil.which("sqlite3")

QUERIES = (
    "SELECT run_id, status, started_at, completed_at,"
    " (SELECT COUNT(*) FROM rows WHERE rows.run_id = runs.run_id) AS rows_processed"
    " FROM runs ORDER BY started_at DESC LIMIT 10;",
    "SELECT checkpoint_id, row_id, token_id, created_at FROM checkpoints ORDER BY created_at DESC LIMIT 5;",
    "SELECT (SELECT COUNT(*) FROM rows) AS source_rows,"
    " (SELECT COUNT(*) FROM token_outcomes WHERE is_terminal = 1) AS terminal_tokens;",
)
"""Those of the runbook for a run that failed."""


def read_only(database: Path, query: str) -> subprocess.CompletedProcess[str]:
    assert SHELL is not None
    return subprocess.run([SHELL, "-readonly", str(database), query], capture_output=True, text=True, timeout=600)


def died_at(point: str, folder: Path, programs: Programs) -> Path:
    """A run of which every process dies at this point, the second time where it is passed before anything is there."""
    mark = folder.with_name("mark")
    programs.start(folder, *run_words(), **armed(point, 1, mark, whole_tree=True)).ends_with(-9)
    assert mark.exists(), "the point did not fire"
    return folder / "runs/audit.db"


@pytest.mark.skipif(SHELL is None, reason="the sqlite3 shell is not installed")
@pytest.mark.parametrize("point", MODES)
def test_what_a_death_leaves_is_read_by_the_queries_of_the_runbook(
    point: str, tmp_path: Path, programs: Programs
) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    if point.endswith("in_use"):
        programs.call(folder, *run_words())  # so that there is something to read
        words = ("run", "--settings", "pipeline.yaml", "--execute")
        programs.start(folder, *words, **armed(point, 1, tmp_path / "mark", whole_tree=True)).ends_with(-9)
        database = folder / "runs/audit.db"
    else:
        database = died_at(point, folder, programs)
    for query in QUERIES:
        found = read_only(database, query)
        assert found.returncode == 0, (found.stderr, sorted(path.name for path in database.parent.iterdir()))
        assert found.stdout.strip()
    programs.call(folder, "status", "latest")


def make_hot(database: Path) -> None:
    """Leave the database as a death between the sync of a rollback journal and its unlink does."""
    spare = database.with_name("spare")
    spare.mkdir()
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:

        def alone() -> bool:
            try:
                return bool(connection.execute("PRAGMA journal_mode = DELETE").fetchone() == ("delete",))
            except sqlite3.OperationalError:
                return False  # a process that was killed has not ended yet

        wait_until(alone)
        connection.execute("PRAGMA cache_size = 2")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE nodes SET config_json = hex(randomblob(100000))")
        for file in (database, database.with_name(database.name + "-journal")):
            shutil.copy(file, spare / file.name)
        connection.execute("ROLLBACK")
    for file in spare.iterdir():
        shutil.copyfile(file, database.with_name(file.name))
    shutil.rmtree(spare)
    assert database.with_name(database.name + "-journal").stat().st_size > 0


COMMANDS = (
    "status latest", "runs", "verify latest", "doctor", "explain --row 3", "resume latest",
    "run --settings pipeline.yaml --execute --auto-resume",
)  # fmt: skip


@pytest.mark.parametrize("words", COMMANDS)
def test_a_rollback_journal_that_was_left_refuses_no_command(words: str, tmp_path: Path, programs: Programs) -> None:
    folder = lay_out(tmp_path / "run", DECIDING)
    arms = armed("audit.after_commit", 4, tmp_path / "mark", whole_tree=True)
    programs.start(folder, *run_words(), **arms).ends_with(-9)
    database = folder / "runs/audit.db"
    make_hot(database)
    ended = programs.start(folder, *words.split())
    ended.ends_with(1 if words == "doctor" else 0)
    assert "cannot be written to" not in ended.said
    assert not database.with_name(database.name + "-journal").exists()
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    programs.call(folder, "verify", run_id(database))
