from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.processes.tree import Tree, committed, events, outputs, pending, query, run_of
from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until

ROWS = 400
LONG = 10 * PATIENCE_SECONDS
"""What would take so long does not happen within a test."""


@pytest.fixture(scope="module")
def undisturbed(outputs_of: OutputsOf) -> dict[str, str]:
    return outputs_of(ROWS)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_stops_the_run_in_order_and_it_can_be_resumed(
    tmp_path: Path, undisturbed: dict[str, str], number: signal.Signals, code: int
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        tree.children()
        # As a terminal does it: Ctrl-C reaches every process of the group.
        for pid in (*tree.children().values(), tree.pid):
            os.kill(pid, number)
        assert tree.wait() == code, tree.log
        assert not tree.survivors()
    run_id, status, _ = run_of(folder)
    assert status == "interrupted"
    assert query(folder, "SELECT completed_at FROM runs") == [(None,)]
    assert f"elspeth resume {run_id}" in tree.log
    assert events(folder, "stopping")[0]["reason"] == f"stopped by {number.name}"
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(folder) == undisturbed
    assert violations(folder) == []


def test_rows_in_hand_are_finished_before_the_run_gives_way(tmp_path: Path) -> None:
    value = settings(delay=0.3, workers=1)
    value["checkpoint"] = {"frequency": "every_row"}
    folder = lay(tmp_path / "run", ROWS, value)
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 1)
        tree.strike("main", signal.SIGTERM)
        assert tree.wait() == 143, tree.log
    assert events(folder, "exited") == []
    with Tree.resume(folder, "--set", "concurrency.max_workers=2") as tree:
        wait_until(lambda: committed(folder) > 10)
        tree.strike("main", signal.SIGTERM)
        assert tree.wait() == 143, tree.log


def test_a_row_that_never_ends_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(hang_timeout_seconds=LONG), {100: "loop"})
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        tree.strike("main", signal.SIGTERM)
        assert tree.wait() == 143, tree.log
        assert not tree.survivors()
    assert run_of(folder)[1] == "interrupted"


def test_a_second_signal_stops_at_once(tmp_path: Path, undisturbed: dict[str, str]) -> None:
    # The first one leaves rows in hand the time that stopping may take: nobody here would wait for that.
    patient = settings(hang_timeout_seconds=LONG, shutdown_seconds=LONG, poison_attempts=1)
    folder = lay(tmp_path / "run", ROWS, patient, {100: "loop"})
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        tree.strike("main", signal.SIGINT)
        wait_until(lambda: not pending(tree.pid, signal.SIGINT))  # the first one has arrived
        tree.strike("main", signal.SIGINT)
        assert tree.wait() == 130, tree.log
    (folder / "input.csv").write_text((folder / "input.csv").read_text().replace("loop", "-"))
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(folder) == undisturbed


def test_a_hail_of_signals_stops_the_run_as_two_would(tmp_path: Path) -> None:
    # One signal may come right inside of the handling of another: whatever that holds must not be waited for.
    folder = lay(tmp_path / "run", ROWS, settings(hang_timeout_seconds=LONG, poison_attempts=1), {100: "loop"})
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 20)
        until = time.monotonic() + 0.02
        while time.monotonic() < until and tree.running:
            for number in (signal.SIGINT, signal.SIGTERM):
                tree.strike("main", number)
        assert tree.wait() in (130, 143), tree.log
        assert not tree.survivors()
    assert run_of(folder)[1] == "interrupted"


def test_a_signal_right_after_the_start_leaves_nothing_behind(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01))
    with Tree.run(folder) as tree:
        wait_until(lambda: tree.children())
        tree.strike("main", signal.SIGTERM)
        assert tree.wait() == 143, tree.log
        assert not tree.survivors()
    if run := query(folder, "SELECT status FROM runs"):
        assert run == [("interrupted",)]


def test_a_hangup_that_was_ignored_at_the_start_is_ignored(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 60, settings(delay=0.01))
    with Tree.run(folder, before=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as tree:  # as nohup does
        wait_until(lambda: committed(folder) > 5)
        tree.strike("main", signal.SIGHUP)
        assert tree.wait() == 0, tree.log


def test_a_terminal_that_hangs_up_twice_does_not_hurry_the_end(tmp_path: Path) -> None:
    value = settings(delay=0.3, workers=1)
    value["checkpoint"] = {"frequency": "every_row"}
    folder = lay(tmp_path / "run", ROWS, value)
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 1)
        tree.strike("main", signal.SIGHUP)
        wait_until(lambda: not pending(tree.pid, signal.SIGHUP))
        tree.strike("main", signal.SIGHUP)
        assert tree.wait() == 129, tree.log
    assert events(folder, "exited") == []  # the row in hand was finished


def test_every_process_shows_its_stack_when_asked_and_goes_on(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(delay=0.01))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 5)
        names = {"main", "fork_server", *tree.children()}
        assert {"audit", "sinks", "source", "worker-1"} <= names
        for name in sorted(names):
            shown = tree.log.count("most recent call first")
            tree.strike(name, signal.SIGUSR1)
            wait_until(lambda shown=shown: tree.log.count("most recent call first") > shown, what=f"{name} shows it")
        assert tree.wait() == 0, tree.log
    assert events(folder, "exited") == []
