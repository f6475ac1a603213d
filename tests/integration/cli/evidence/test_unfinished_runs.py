"""With the key, a run without an end is proven by nobody: alive it is said to be unfinished, dead it does not hold."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.kit.processes.held import doctor, elspeth, held_run, ids, make

KEY = "a key for tests"


def test_a_run_is_unfinished_while_it_lives_and_does_not_hold_when_it_died(tmp_path: Path) -> None:
    settings = make(tmp_path)
    with held_run(settings, ELSPETH_SIGNING_KEY=KEY) as (_, run):
        alive = elspeth(tmp_path, "verify", run, ELSPETH_SIGNING_KEY=KEY)
        assert alive.returncode == 3, alive.stdout
        assert alive.stdout.startswith("Unfinished: Run already in progress")
        assert elspeth(tmp_path, "verify", run, ELSPETH_SIGNING_KEY="").returncode == 0
    died = elspeth(tmp_path, "verify", run, ELSPETH_SIGNING_KEY=KEY)
    assert died.returncode == 1
    assert "has no signed end" in died.stdout
    (tmp_path / "go").touch()
    assert elspeth(tmp_path, "resume", run, ELSPETH_SIGNING_KEY=KEY).returncode == 0
    done = elspeth(tmp_path, "verify", run, ELSPETH_SIGNING_KEY=KEY)
    assert done.returncode == 0, done.stdout


def test_a_completed_run_that_was_set_back_by_hand_is_not_resumed_but_found(tmp_path: Path) -> None:
    settings = make(tmp_path)
    (tmp_path / "go").touch()
    assert elspeth(tmp_path, "run", "--settings", settings.name, "--execute").returncode == 0
    output = (tmp_path / "output" / "out.csv").read_bytes()
    with closing(sqlite3.connect(tmp_path / "runs" / "audit.db")) as connection, connection:
        connection.execute("UPDATE runs SET status = 'interrupted', completed_at = NULL")
    (run,) = ids(tmp_path)
    for words in (["resume", run], ["run", "--settings", settings.name, "--execute", "--auto-resume"]):
        refused = elspeth(tmp_path, *words)
        assert refused.returncode == 12, refused.stderr
        assert "its last checkpoint is that of a run that was completed" in refused.stderr
        assert f"elspeth verify {run}" in refused.stderr
    assert elspeth(tmp_path, "verify", run).returncode == 1
    report = doctor(tmp_path)
    assert [one["check"] for one in report["runs"][0]["findings"] if one["level"] == "wrong"] == ["checkpoint"]
    assert (tmp_path / "output" / "out.csv").read_bytes() == output
