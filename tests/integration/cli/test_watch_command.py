"""`watch`, and the sentence that says what a run waits for, from another terminal while it stands still."""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.kit.processes.running import begin, elspeth, pausing, wait_until

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
AT_ROW = "worker-1 is at row 5 in pause (limit 300 s)"


def on_record(folder: Path, event: str) -> bool:
    database = folder / "runs/audit.db"
    if not database.exists():
        return False
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=30)) as db:
        try:
            return bool(db.execute("SELECT 1 FROM supervision_events WHERE event = ?", (event,)).fetchall())
        except sqlite3.OperationalError:
            return False  # its tables are not there yet


@contextmanager
def standing(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A run that has stood still at row 5 for long enough that it says so on record."""
    pausing(folder, 50)
    process = begin(*RUN, cwd=folder)
    try:
        wait_until(lambda: on_record(folder, "waiting"), process)
        yield process
    finally:
        (folder / "go").touch()
        process.communicate()


def test_what_a_run_waits_for_is_said_by_all_commands_and_watch_ends_with_the_run(tmp_path: Path) -> None:
    with standing(tmp_path) as process:
        once = elspeth("watch", "latest", "--once", cwd=tmp_path)
        values = json.loads(elspeth("watch", "latest", "--once", "--json", cwd=tmp_path).stdout)
        status = json.loads(elspeth("status", "latest", "--json", cwd=tmp_path).stdout)
        shown = elspeth("status", "latest", cwd=tmp_path).stdout
        doctor = elspeth("doctor", "--json", cwd=tmp_path).stdout
        health = elspeth("health", "--json", cwd=tmp_path).stdout
        watcher = begin("watch", "latest", cwd=tmp_path)
        (tmp_path / "go").touch()
        end, lines = watcher.communicate()
        assert process.wait() == 0
    assert (once.returncode, values["exit_code"], values["state"]) == (0, 0, "alive")
    assert "alive" in once.stdout
    for told in (once.stdout, values["waiting"], status["waiting"], shown, doctor, health):
        assert "no row finished for " in told
        assert AT_ROW in told
    assert watcher.returncode == 0, lines
    assert "completed: 50 rows" in end
    after = json.loads(elspeth("status", "latest", "--json", cwd=tmp_path).stdout)
    assert after["waiting"] is None
    assert any(AT_ROW in told["sentence"] for told in after["history"])


def test_a_run_that_nobody_drives_ends_the_watch_with_the_command_that_continues_it(tmp_path: Path) -> None:
    pausing(tmp_path, 50)
    process = begin(*RUN, cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)
    process.kill()
    process.communicate()
    found = elspeth("watch", "latest", cwd=tmp_path)
    assert found.returncode == 1
    assert "orphaned" in found.stdout
    assert "Next: elspeth resume " in found.stdout
    (tmp_path / "go").touch()


def test_ctrl_c_is_answered_at_once(tmp_path: Path) -> None:
    pausing(tmp_path, 50)
    process = begin(*RUN, cwd=tmp_path)
    wait_until((tmp_path / "reached").exists, process)
    process.send_signal(2)
    assert process.stderr is not None
    said = next(line for line in process.stderr if "Stopping" in line)
    assert "Stopping: finishing what is in flight, at most 8 s; again to stop at once" in said
    (tmp_path / "go").touch()
    process.communicate()
