from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.processes.tree import Tree, committed, events, outputs, query, run_of
from tests.kit.processes.waiting import wait_until

ROWS = 300
HANG = 3.0


@pytest.fixture(scope="module")
def undisturbed(outputs_of: OutputsOf) -> dict[str, str]:
    return outputs_of(ROWS)


@pytest.mark.parametrize("child", ["worker-1", "sinks", "audit", "source"])
def test_a_child_that_is_stopped_is_found_and_replaced(tmp_path: Path, undisturbed: dict[str, str], child: str) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01, workers=1, hang_timeout_seconds=HANG))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        pid = tree.strike(child, signal.SIGSTOP)
        assert tree.wait() == 0, tree.log
        assert not tree.survivors()
    assert outputs(folder) == undisturbed
    assert violations(folder) == []
    assert "no progress for supervisor.hang_timeout_seconds (3 s)" in tree.log
    assert [(event["pid"], event["reason"]) for event in events(folder, "exited")] == [(pid, "hang")]


def test_a_row_that_says_it_goes_on_is_slow_and_not_hung(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 30, settings(hang_timeout_seconds=HANG), {7: "patient"})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder) == []
    assert events(folder, "exited") == []


def test_a_row_that_waits_for_its_next_try_is_not_hung(tmp_path: Path) -> None:
    value = settings(hang_timeout_seconds=HANG)
    value["retry"] = {"max_attempts": 2, "initial_delay_seconds": 2 * HANG}
    folder = lay(tmp_path / "run", 30, value, {7: "busy"})
    begun = time.monotonic()
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert time.monotonic() - begun >= 2 * HANG
    assert events(folder, "exited") == []
    tries = query(folder, "SELECT attempt, status FROM node_states WHERE error_json IS NOT NULL OR attempt > 1")
    assert sorted(tries) == [(1, "failed"), (2, "completed")]


def test_a_source_that_waits_for_its_next_row_is_left_alone(tmp_path: Path) -> None:
    value = settings(hang_timeout_seconds=HANG)
    value["checkpoint"]["max_seconds"] = 0.2
    value["source"] = {"plugin": "drip", "options": {"rows": 10, "pause": 2 * HANG}}
    folder = lay(tmp_path / "run", 0, value)
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) == 9)  # what came is decided and committed meanwhile
        assert tree.wait() == 0, tree.log
    assert committed(folder) == 10
    assert events(folder, "exited") == []


def test_a_main_process_that_was_asleep_does_not_kill_its_children_for_it(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01, hang_timeout_seconds=HANG, watchdog_seconds=60))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        everybody = [tree.pid, *tree.children().values()]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        woken = time.monotonic() + 1.5 * HANG
        wait_until(lambda: time.monotonic() > woken)
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        assert tree.wait() == 0, tree.log
    assert outputs(folder) == undisturbed
    assert events(folder, "exited") == []


def test_a_main_process_that_stands_still_is_killed_by_its_children(
    tmp_path: Path, undisturbed: dict[str, str]
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01, watchdog_seconds=2))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        tree.children()
        tree.strike("main", signal.SIGSTOP)
        assert tree.wait() == -signal.SIGKILL
        wait_until(lambda: not tree.survivors())
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert run_of(folder)[1:] == ("completed", 2)
    assert query(folder, "SELECT count(*) FROM run_attempts") == [(2,)]
    assert outputs(folder) == undisturbed
