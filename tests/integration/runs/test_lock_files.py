"""Lock files go when nothing can need them, and never from under somebody."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.kit.pipelines.trial import lay, settings
from tests.kit.processes.tree import Tree, committed, run_of
from tests.kit.processes.waiting import wait_until


def locks(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "runs/locks").iterdir())


def test_a_run_that_is_complete_leaves_no_lock_file(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 20, settings())
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert locks(folder) == []


def test_a_run_that_can_be_resumed_keeps_its_lock_and_all_go_in_the_end(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 200, settings(delay=0.01))
    for number in (signal.SIGKILL, signal.SIGTERM):
        before = committed(folder) if (folder / "runs/audit.db").exists() else 0
        with Tree.run(folder, "--auto-resume") as tree:
            wait_until(lambda before=before: committed(folder) > before + 10)
            tree.strike("main", number)
            tree.wait()
    run_id = run_of(folder)[0]
    assert f"{run_id}.2.lock" in locks(folder)
    (folder / "runs/locks/other000.1.lock").write_text("of a run in another database")
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert locks(folder) == ["other000.1.lock"]


@pytest.mark.parametrize("point", ["main.lock_discarded", "main.after_shutdown"])
def test_a_death_around_the_end_leaves_a_lock_that_the_next_run_takes_away(tmp_path: Path, point: str) -> None:
    folder = lay(tmp_path / "run", 20, settings())
    with Tree.run(folder, environ={"CRASH_POINT": f"{point}:1:{tmp_path / 'mark'}"}) as tree:
        assert tree.wait() == -9
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert locks(folder) == []
