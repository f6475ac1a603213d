"""A process killed while it removes a rollback journal: nothing was rolled back yet, and no command refuses for it."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.errors import EXIT_TEMPORARY
from tests.crash.test_power_cuts import MISSING
from tests.kit.pipelines.crash_pipelines import DECIDING, lay_out
from tests.kit.power.checks import environment
from tests.kit.processes.program import COMMAND, Programs
from tests.kit.processes.recorded_run import run_id

pytestmark = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))

ROWS = 400
RUN = ("run", "--settings", "pipeline.yaml", "--execute")
READERS = ("status latest", "runs", "verify latest", "explain --row 3", "doctor", "health")


def killed_at_unlink(folder: Path, number: int, *words: str, **arms: str) -> int:
    """Carry a command out; who removes the journal for the `number`th time is killed in that call. The exit code."""
    journal = folder.resolve() / "runs/audit.db-journal"
    trace = ["setsid", "--wait", "strace", "-f", "-qq", "-o", os.devnull, "-e", "trace=unlink", "-P", str(journal)]
    inject = f"inject=unlink:signal=KILL:when={number}"
    done = subprocess.run(
        [*trace, "-e", inject, *COMMAND, *words], cwd=folder, env=environment() | arms, stdin=subprocess.DEVNULL,
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    return done.returncode


def is_hot(database: Path) -> bool:
    """Whether whoever may only read is refused, because something must be rolled back first."""
    try:
        with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT 1 FROM sqlite_master").fetchall()
    except sqlite3.OperationalError as error:
        return error.sqlite_errorcode == sqlite3.SQLITE_READONLY_ROLLBACK
    return False


def a_second_run(folder: Path, programs: Programs) -> tuple[str, ...]:
    programs.call(folder, *RUN)
    killed_at_unlink(folder, 1, *RUN)
    return (*RUN, "--auto-resume")


def a_resume(folder: Path, programs: Programs) -> tuple[str, ...]:
    arms = {"CRASH_POINT": f"audit.after_commit:1:{folder.with_name('mark')}", "CRASH_GROUP": "1"}
    programs.start(folder, *RUN, **arms).ends_with(-9)
    with closing(sqlite3.connect(folder / "runs/audit.db")) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # as an operator's shell leaves it
    killed_at_unlink(folder, 1, "resume", "latest")
    return "resume", "latest"


def a_run_that_is_completed(folder: Path, programs: Programs) -> tuple[str, ...]:
    """The audit process dies when it puts the database to rest, and the main process before it looks there again."""
    arms = {"CRASH_POINT": f"main.after_shutdown:1:{folder.with_name('mark')}", "CRASH_GROUP": "1"}
    killed_at_unlink(folder, 3, *RUN, **arms)
    return "resume", "latest"


def a_purge(folder: Path, programs: Programs) -> tuple[str, ...]:
    programs.call(folder, *RUN)
    words = ("purge", "--run", run_id(folder / "runs/audit.db"))
    killed_at_unlink(folder, 1, *words)
    return words


@pytest.mark.parametrize("killed", [a_second_run, a_resume, a_run_that_is_completed, a_purge])
def test_no_command_refuses_for_a_journal_in_whose_removal_somebody_was_killed(
    killed: Callable[[Path, Programs], tuple[str, ...]], tmp_path: Path, programs: Programs
) -> None:
    folder = lay_out(tmp_path / "run", DECIDING, rows=ROWS)
    again = killed(folder, programs)
    database = folder / "runs/audit.db"
    journal = database.with_name("audit.db-journal")
    assert is_hot(database)
    left = database.read_bytes(), journal.read_bytes()
    for words in READERS:
        database.write_bytes(left[0])
        journal.write_bytes(left[1])
        found = programs.start(folder, *words.split())
        code = found.wait()
        assert not journal.exists(), words
        assert "cannot be" not in found.said, words
        # The database is whole now: the same command says the same of it.
        assert programs.start(folder, *words.split()).wait() == code, words
        assert code != EXIT_TEMPORARY, found.said
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
        if killed is a_run_that_is_completed:
            assert connection.execute("SELECT status FROM runs").fetchall() == [("completed",)]
    database.write_bytes(left[0])
    journal.write_bytes(left[1])
    programs.call(folder, *again)
    programs.call(folder, "verify", "latest")
