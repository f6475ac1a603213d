"""With the key, a run without an end is proven by nobody: alive it is said to be unfinished, dead it does not hold."""

from __future__ import annotations

from pathlib import Path

from tests.kit.processes.held import elspeth, held_run, make

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
