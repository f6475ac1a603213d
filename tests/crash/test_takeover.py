from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.processes.held import elspeth, held_run, make
from tests.kit.processes.tree import Tree, committed, events, outputs, query, run_of, state_of
from tests.kit.processes.waiting import wait_until

ROWS = 300


@pytest.fixture(scope="module")
def undisturbed(outputs_of: OutputsOf) -> dict[str, str]:
    return outputs_of(ROWS)


def everything(folder: Path) -> dict[str, str]:
    """SHA-256 of the database, its side files if there are any, and the outputs."""
    files = [*(folder / "runs").glob("audit.db*"), *(folder / "output").iterdir()]
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.parametrize("frozen", ["the main process", "the whole tree"])
@pytest.mark.parametrize("woken", ["when the other has finished", "while the other is at work"])
def test_a_frozen_tree_that_wakes_after_a_take_over_changes_nothing(
    tmp_path: Path, undisturbed: dict[str, str], frozen: str, woken: str
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.02, watchdog_seconds=100, max_restarts=0))
    with Tree.run(folder) as old:
        wait_until(lambda: committed(folder) > 20)
        children = old.children()
        stopped = [old.pid, *(children.values() if frozen == "the whole tree" else ())]
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: all(state_of(pid) == "T" for pid in stopped))
        run_id = run_of(folder)[0]
        with Tree.resume(folder) as plain:
            assert plain.wait() == 3, plain.log
        assert "Run already in progress" in plain.log
        assert f"pid {old.pid} is stopped" in plain.log
        assert f"elspeth resume {run_id} --take-over" in plain.log
        with Tree.resume(folder, "--take-over") as new:
            if woken == "while the other is at work":
                wait_until(lambda: run_of(folder)[2] == 2 and committed(folder) > 60)
                assert _end_of(old) == 9, old.log
            assert new.wait() == 0, new.log
        if woken == "when the other has finished":
            before = everything(folder)
            assert _end_of(old) == 9, old.log
            assert everything(folder) == before
        assert "was taken over by attempt 2" in old.log
        assert not old.survivors()
    assert sorted(everything(folder)) == ["audit.db", *sorted(undisturbed)]
    assert outputs(folder) == undisturbed
    assert violations(folder) == []
    (took_over,) = events(folder, "took_over")
    assert (took_over["attempt"], took_over["from_attempt"], took_over["pid"]) == (2, 1, old.pid)
    assert took_over["state"] == "frozen"
    killed = {event["pid"] for event in events(folder, "killed_leftover")}
    # The fork server has no part in the run; there may be a worker that was started on demand after the look.
    assert killed >= {pid for name, pid in children.items() if name != "fork_server"}


def stopped_in_a_commit(tree: Tree) -> int:
    """Stop the audit process while it has the database locked; answers its pid."""
    pid, database = tree.child("audit"), tree.folder / "runs/audit.db"

    def holds_it() -> bool:
        os.kill(pid, signal.SIGSTOP)
        wait_until(lambda: state_of(pid) == "T")
        with closing(sqlite3.connect(database, timeout=0, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                return True
        os.kill(pid, signal.SIGCONT)
        return False

    wait_until(holds_it, "a commit was under way")
    return pid


@pytest.mark.parametrize("main", ["stopped", "killed"])
def test_who_was_stopped_in_the_midst_of_a_commit_locks_nobody_out(tmp_path: Path, main: str) -> None:
    """The others would wait for it as long as it stands still."""
    value = settings(delay=0.01, watchdog_seconds=100) | {"checkpoint": {"frequency": "every_row"}}
    folder = lay(tmp_path / "run", ROWS, value)
    with Tree.run(folder) as old:
        wait_until(lambda: committed(folder) > 5)
        audit = stopped_in_a_commit(old)
        old.strike("main", signal.SIGSTOP if main == "stopped" else signal.SIGKILL)
        if main == "killed":
            old.wait()
        with Tree.resume(folder, *(["--take-over"] if main == "stopped" else [])) as new:
            assert new.wait() == 0, new.log
        if main == "stopped":
            assert _end_of(old) == 9, old.log
    assert audit in {event["pid"] for event in events(folder, "killed_leftover")} or main == "killed"
    assert outputs(folder).keys() == {"low.csv", "high.csv", "bad.csv"}
    assert violations(folder) == []


def _end_of(old: Tree) -> int:
    os.kill(old.pid, signal.SIGCONT)
    return old.wait()


def test_children_of_a_dead_main_process_end_within_two_seconds(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        children = tree.children()
        os.kill(children["sinks"], signal.SIGSTOP)  # a stopped one, too
        tree.strike("main")
        wait_until(lambda: not tree.survivors())
    assert len(children) >= 4


def test_a_run_whose_main_process_died_is_an_orphan_until_it_is_resumed(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        tree.strike("main")
        tree.wait()
    assert run_of(folder)[1:] == ("running", 1)
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(folder) == undisturbed
    assert violations(folder) == []


def test_a_second_driver_of_a_living_run_is_refused(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run_id):
        for words in ([], ["--take-over"]):
            second = elspeth(tmp_path, "resume", run_id, *words)
            assert second.returncode == 3, second.stderr
            assert "Run already in progress" in second.stderr
        (tmp_path / "go").touch()
        assert process.wait() == 0
    assert (tmp_path / "output" / "out.csv").read_text() == (tmp_path / "data" / "input.csv").read_text()
    assert query(tmp_path, "SELECT count(*) FROM run_attempts") == [(1,)]


@pytest.mark.parametrize("pairs", [10, pytest.param(100, marks=pytest.mark.campaign)])
def test_of_two_simultaneous_resumes_exactly_one_wins(tmp_path: Path, undisturbed: dict[str, str], pairs: int) -> None:
    rows = ROWS * max(1, pairs // 30)
    # Nobody is to blame for these deaths, not even a row that is touched each time.
    value = settings(delay=0.01 if pairs == 10 else 0.02, workers=1, poison_attempts=1000)
    folder = lay(tmp_path / "run", rows, value)
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 0)
        tree.strike("main")
        tree.wait()
    for pair in range(pairs):
        with Tree.resume(folder) as one, Tree.resume(folder) as other:
            wait_until(lambda one=one, other=other: not (one.running and other.running))
            loser, winner = (one, other) if not one.running else (other, one)
            assert loser.wait() == 3, loser.log
            assert "Run already in progress" in loser.log
            wait_until(lambda pair=pair: run_of(folder)[2] == pair + 2)
            winner.strike("main")
            assert winner.wait() == -signal.SIGKILL, winner.log
    with Tree.resume(folder) as last:
        assert last.wait() == 0, last.log
    assert query(folder, "SELECT count(*) FROM run_attempts") == [(pairs + 2,)]
    if rows == ROWS:
        assert outputs(folder) == undisturbed
    assert violations(folder) == []
