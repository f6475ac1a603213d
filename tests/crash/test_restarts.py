from __future__ import annotations

import json
import random
import signal
from pathlib import Path

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.pipelines.undisturbed import OutputsOf
from tests.kit.processes.tree import Tree, committed, events, outputs, query, run_of
from tests.kit.processes.waiting import wait_until

ROWS = 500
CHILDREN = ("worker-1", "source", "sinks", "stage-1", "audit")


@pytest.fixture(scope="module")
def undisturbed(outputs_of: OutputsOf) -> dict[str, str]:
    return outputs_of(ROWS, ordered=True)


@pytest.mark.parametrize("child", CHILDREN)
def test_a_child_that_is_killed_again_and_again_does_not_end_the_run(
    tmp_path: Path, undisturbed: dict[str, str], child: str
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(ordered=True, delay=0.004, workers=1))
    chance = random.Random(child)
    with Tree.run(folder) as tree:
        hit = []
        for blow in range(3):
            share = (blow + chance.random()) / 4
            wait_until(lambda share=share: committed(folder) >= share * ROWS)
            pid = tree.strike(child)
            hit.append(pid)
            wait_until(lambda pid=pid: tree.children().get(child) not in (None, pid) or not tree.running)
        assert tree.wait() == 0, tree.log
        assert not tree.survivors()
    assert outputs(folder) == undisturbed
    assert violations(folder, recompute=False) == []
    died = [(event["pid"], event["signal"]) for event in events(folder, "exited") if event["child"] == child]
    assert [(pid, "SIGKILL") for pid in hit] == died
    successors = [event for event in events(folder, "restarted") if event["child"] == child]
    assert len(successors) == 3
    assert [event["pid"] for event in successors[:2]] == hit[1:]
    assert all(event["at"] for event in successors)
    assert "restarted 3 times" in tree.log


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_end_of_the_process_that_all_are_forked_from_does_not_end_the_run(
    tmp_path: Path, undisturbed: dict[str, str], number: signal.Signals
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(ordered=True, delay=0.004, workers=1))
    with Tree.run(folder) as tree:
        hit = []
        for blow in range(3):
            wait_until(lambda blow=blow: committed(folder) >= (blow + 0.5) * ROWS / 4)
            before = tree.children()
            hit.append(tree.strike("fork_server", number))
            if number == signal.SIGSTOP:
                tree.strike("source")  # it is missed when it is asked for something
            wait_until(lambda before=before: tree.children().get("audit") not in (None, before["audit"]))
        assert tree.wait() == 0, tree.log
        assert not tree.survivors()
    assert outputs(folder) == undisturbed
    assert violations(folder, recompute=False) == []
    died = [event for event in events(folder, "exited") if event["reason"] == "fork_server"]
    assert len(died) >= 3 * len(CHILDREN)
    assert "so died the process that children are forked from" in tree.log


@pytest.mark.parametrize("pair", [("audit", "sinks"), ("stage-1", "source"), ("worker-1", "audit")])
def test_two_that_die_together_do_not_end_the_run(
    tmp_path: Path, undisturbed: dict[str, str], pair: tuple[str, str]
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(ordered=True, delay=0.002, workers=1))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 50)
        hit = {name: tree.strike(name) for name in pair}
        # The first successor of each dies as soon as it is seen, while it is being restored.
        for name, pid in hit.items():
            wait_until(lambda name=name, pid=pid: tree.children().get(name, pid) != pid)
            tree.strike(name)
        assert tree.wait() == 0, tree.log
    assert outputs(folder) == undisturbed
    assert violations(folder, recompute=False) == []


@pytest.mark.parametrize(
    "points",
    [
        ("audit.after_commit:4", "sink.after_write:5"),  # committed, not answered; what follows is half written
        ("audit.before_durable:4", "sink.before_flush:5"),
        ("audit.in_transaction:4", "stage.before_send:5"),
        ("sink.after_flush:4", "worker.before_send:5"),
        ("audit.before_owned:1", "sink.before_restore:1"),  # before there is anything to restore
    ],
)
def test_two_that_die_at_these_very_points_do_not_end_the_run(
    tmp_path: Path, undisturbed: dict[str, str], points: tuple[str, str]
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(ordered=True, delay=0.002, workers=1))
    marks = [tmp_path / f"mark-{number}" for number in range(len(points))]
    armed = ",".join(f"{point}:{mark}" for point, mark in zip(points, marks, strict=True))
    with Tree.run(folder, environ={"CRASH_POINT": armed}) as tree:
        assert tree.wait() == 0, tree.log
        assert not tree.survivors()
    assert all(mark.exists() for mark in marks)
    assert outputs(folder) == undisturbed
    assert violations(folder, recompute=False) == []


@pytest.mark.parametrize("child", ["source", "audit"])
def test_a_run_whose_child_keeps_dying_stops_in_order_and_can_be_resumed(
    tmp_path: Path, undisturbed: dict[str, str], child: str
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(ordered=True, delay=0.004, workers=1, max_restarts=2))
    with Tree.run(folder) as tree:
        wait_until(lambda: committed(folder) > 50)
        for _ in range(3):
            pid = tree.strike(child)
            wait_until(lambda pid=pid: not tree.running or tree.children().get(child, pid) != pid)
        assert tree.wait() == 1, tree.log
        assert not tree.survivors()
    run_id, status, _ = run_of(folder)
    assert status == "failed"
    assert query(folder, "SELECT completed_at FROM runs") == [(None,)]
    (failure,) = query(folder, "SELECT failure FROM runs")[0]
    assert f"{child} died after 2 restarts" in failure
    assert "restart intensity exceeded" in tree.log
    assert tree.log.count("SIGKILL") >= 3  # the last exits
    assert f"elspeth resume {run_id}" in tree.log
    gave_up = events(folder, "gave_up")
    assert [event["child"] for event in gave_up] == [child]
    assert len(gave_up[0]["exits"]) == 3
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert outputs(folder) == undisturbed
    assert violations(folder, recompute=False) == []


def test_a_worker_that_cannot_start_ends_the_run_with_its_last_words(tmp_path: Path) -> None:
    value = settings(max_restarts=2)
    value["transforms"].append({"plugin": "stuck_at_start"})
    folder = lay(tmp_path / "run", 20, value)
    with Tree.run(folder, "--json") as tree:
        assert tree.wait() == 1, tree.log
    assert run_of(folder)[1] == "failed"
    result = json.loads(tree.result)
    assert result["resumable"]
    assert any("exit code 3" in line for line in result["error"]["details"])
