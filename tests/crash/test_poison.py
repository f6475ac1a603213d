from __future__ import annotations

import csv
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.processes.running import elspeth
from tests.kit.processes.tree import DATABASE, Tree, assert_set_aside, driven, events, query, run_of

ROWS = 200
HOW = {
    "exit": ("exit code 7", [None]),
    "kill": ("SIGKILL", ["SIGKILL"]),
    "memory": (
        "worker_memory_limit_mb",
        [None, "SIGKILL"],
    ),  # refused by the kernel, or found over it by the supervisor
}


def written(folder: Path, name: str) -> list[int]:
    """The ids in an output, in its order."""
    with (folder / "output" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [int(row["id"]) for row in csv.DictReader(file)]


def told(folder: Path) -> list[tuple[int, str, str | None, dict[str, Any]]]:
    """Row index, node, destination and evidence of every error of a transform or a sink."""
    found = query(
        folder,
        "SELECT r.row_index, e.node_id, e.destination, e.error_json FROM transform_errors e"
        " JOIN tokens t ON t.token_id = e.token_id JOIN rows r ON r.row_id = t.row_id ORDER BY 1",
    )
    return [(index, node, destination, json.loads(error)) for index, node, destination, error in found]


@pytest.mark.parametrize("how", sorted(HOW))
def test_a_row_that_kills_its_worker_is_set_aside_and_its_neighbours_are_not(tmp_path: Path, how: str) -> None:
    words, signals = HOW[how]
    value = settings(max_restarts=1, worker_memory_limit_mb=400 if how == "memory" else None)
    folder = lay(tmp_path / "run", ROWS, value, {57: how})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder, poisoned=(57,)) == []
    assert written(folder, "bad") == [57]
    assert written(folder, "high") == [row for row in range(ROWS) if row % 3 == 0 and row != 57]
    assert written(folder, "low") == [row for row in range(ROWS) if row % 3]
    ((index, node, destination, error),) = told(folder)
    assert (index, node, destination) == (57, "trial_1", "bad")
    assert words in error["reason"]
    assert error["signal"] in signals
    assert error["attempts"] == 3
    assert [event["deaths"] for event in events(folder, "suspect")] == [0, 1, 2]
    assert [event["row_index"] for event in events(folder, "quarantined")] == [57]
    assert "killing the process that touched them: 1 row" in tree.log
    assert re.search(r"row 57 is suspected \(.+\); it goes alone now", tree.log)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_row_that_kills_the_process_all_are_forked_from_is_set_aside_and_no_other(
    tmp_path: Path, workers: int
) -> None:
    folder = lay(tmp_path / "run", ROWS, settings(max_restarts=1, workers=workers), {57: "parent"})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder, poisoned=(57,)) == []
    assert written(folder, "bad") == [57]
    ((_, _, _, error),) = told(folder)
    assert "so died the process that children are forked from" in error["reason"]
    assert error["attempts"] == 3


def test_a_row_that_hangs_costs_its_time_outs_and_is_set_aside(tmp_path: Path) -> None:
    value = settings(max_restarts=0, hang_timeout_seconds=2.5, poison_attempts=2)
    value["transforms"][0].pop("on_error")
    folder = lay(tmp_path / "run", ROWS, value, {57: "loop"})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder, poisoned=(57,)) == []
    ((_, node, destination, error),) = told(folder)
    assert (node, destination, error["attempts"]) == ("trial_1", None, 2)
    assert "supervisor.hang_timeout_seconds" in error["reason"]
    assert query(folder, "SELECT outcome FROM token_outcomes WHERE outcome NOT IN ('completed', 'routed')") == [
        ("quarantined",)
    ]
    assert "supervisor.hang_timeout_seconds (2.5 s)" in tree.log


def test_rows_that_kill_do_not_use_up_the_restarts(tmp_path: Path) -> None:
    poisoned = tuple(range(11, 10_000, 1000))
    value = settings(max_restarts=0, poison_attempts=1)
    value["checkpoint"] = {"frequency": "every_n", "checkpoint_interval": 500}
    folder = lay(tmp_path / "run", 10_000, value, dict.fromkeys(poisoned, "exit"))
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert violations(folder, poisoned=poisoned) == []
    assert written(folder, "bad") == list(poisoned)


@pytest.mark.campaign
def test_fifty_rows_in_ten_thousand_that_kill_do_not_end_the_run(tmp_path: Path) -> None:
    poisoned = tuple(range(11, 10_000, 200))
    folder = lay(tmp_path / "run", 10_000, settings(max_restarts=0), dict.fromkeys(poisoned, "kill"))
    with Tree.run(folder) as tree:
        assert tree.wait(600) == 0, tree.log
    assert len(poisoned) == 50
    assert violations(folder, poisoned=poisoned) == []
    assert written(folder, "bad") == list(poisoned)


def test_a_row_that_kills_the_sinks_goes_where_their_refusals_go(tmp_path: Path) -> None:
    value = settings(sink="trial_csv", max_restarts=2)
    folder = lay(tmp_path / "run", ROWS, value, {58: "sink-exit", 140: "sink-kill"})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert written(folder, "bad") == [58, 140]
    assert written(folder, "low") == [row for row in range(ROWS) if row % 3 and row not in (58, 140)]
    assert [(index, node) for index, node, _, _ in told(folder)] == [(58, "low"), (140, "low")]
    assert query(folder, "SELECT count(*) FROM token_outcomes WHERE is_terminal = 1") == [(ROWS,)]


def test_a_batch_that_kills_its_stage_fails_as_a_batch_and_the_next_ones_do_not(tmp_path: Path) -> None:
    value = settings(ordered=True, max_restarts=0)
    value["aggregations"][0]["on_error"] = "bad"
    folder = lay(tmp_path / "run", ROWS, value, {58: "batch-kill"})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    batch = list(range(56, 63))  # the one of seven rows with row 58 in it
    assert [index for index, *_ in told(folder)] == batch
    assert all(error["signal"] == "SIGKILL" and error["attempts"] == 3 for *_, error in told(folder))
    assert written(folder, "bad") == batch
    assert written(folder, "low") == [row for row in range(ROWS) if row % 3 and row not in batch]
    assert violations(folder, recompute=False) == []


@pytest.mark.parametrize("how", ["bomb", "group"])
def test_a_row_that_takes_the_main_process_with_it_is_found_row_by_row(tmp_path: Path, how: str) -> None:
    folder = lay(tmp_path / "run", 60, settings(poison_attempts=2), {3: how})
    ends, log = driven(folder)
    # Two that go as always; one that goes row by row, and one in which the row is known; the last sets it aside.
    assert_set_aside(folder, ends, log)
    assert [(event["attempt"], event["row_index"]) for event in events(folder, "in_hand")] == [(3, 3), (4, 3)]
    assert {event["row_index"] for event in events(folder, "suspect")} == {3}
    assert violations(folder, poisoned=(3,)) == []
    assert written(folder, "bad") == [3]
    assert run_of(folder)[1:] == ("completed", len(ends))


def test_of_thousands_of_rows_one_that_kills_its_process_group_is_set_aside_and_the_others_are_not_recorded_singly(
    tmp_path: Path,
) -> None:
    value = settings(poison_attempts=2)
    value["checkpoint"] = {"frequency": "every_n", "checkpoint_interval": 1000, "max_seconds": 600}
    folder = lay(tmp_path / "run", 6000, value, {777: "group"})  # before the first commit, so always at one place
    ends, log = driven(folder)
    assert ends == [-9, -9, -9, -9, 0], log
    assert {event["row_index"] for event in events(folder, "suspect")} == {777}
    first, *others = [(event["rows"], event["recorded"]) for event in events(folder, "caution")]
    assert others == [(778, False)] * 2  # what nobody had been given in the attempt before has killed nothing
    assert 778 <= first[0] <= 4000
    ((commits,),) = query(folder, "SELECT count(*) FROM commits")
    assert commits < 60  # some four thousand rows went one at a time, three times over
    assert violations(folder, poisoned=(777,)) == []
    assert written(folder, "bad") == [777]
    assert sorted(written(folder, "high") + written(folder, "low")) == [row for row in range(6000) if row != 777]
    told = elspeth("explain", "--run", "latest", "--row", "777", "--database", DATABASE, cwd=folder).stdout
    assert told.count("it was the one in hand when the whole attempt died") == 2
    assert "set aside: it killed the process that touched it" in told
    assert list((folder / "runs/locks").iterdir()) == []


def test_a_row_with_which_the_sinks_kill_the_whole_tree_is_found_as_well(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 60, settings(poison_attempts=2, sink="trial_csv"), {5: "sink-group"})
    ends, log = driven(folder)
    assert_set_aside(folder, ends, log)
    assert written(folder, "bad") == [5]
    assert written(folder, "low") == [row for row in range(60) if row % 3 and row != 5]


def test_where_the_mark_of_an_attempt_is_lost_rows_are_put_on_record_before_they_are_touched(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 60, settings(poison_attempts=2), {3: "group"})
    with Tree.run(folder, before=os.setsid) as tree:
        tree.wait()
    for _ in range(2):
        with Tree.resume(folder, before=os.setsid) as tree:
            assert tree.wait() == -9
    marks = sorted((folder / "runs/locks").glob("*.row"))
    marks[-1].unlink()
    with Tree.resume(folder, before=os.setsid) as tree:
        assert tree.wait() == -9
    assert [(event["attempt"], event["recorded"]) for event in events(folder, "caution")] == [(3, False), (4, True)]
    assert [event["row_index"] for event in events(folder, "suspect")] == [0, 1, 2, 3]
    for end in (-9, 0):
        with Tree.resume(folder, before=os.setsid) as tree:
            assert tree.wait() == end, tree.log
    assert violations(folder, poisoned=(3,)) == []


def test_rows_that_go_one_at_a_time_beside_no_killer_come_out_as_ever(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 60, settings(ordered=True), {})
    for words in (Tree.run, Tree.resume):
        died = {"CRASH_POINT": f"worker.before_row:4:{tmp_path / 'mark'}", "CRASH_GROUP": "1"}
        (tmp_path / "mark").unlink(missing_ok=True)
        with words(folder, before=os.setsid, environ=died) as tree:
            assert tree.wait() == -9
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
        assert "two attempts died at the same place" in tree.log
    assert violations(folder, recompute=False) == []
    assert events(folder, "suspect") == events(folder, "in_hand") == []
