"""Batches whose flush takes the whole run with it: found, set aside as batches, and nobody else with them."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.processes.running import elspeth
from tests.kit.processes.tree import DATABASE, assert_set_aside, driven, events, query, run_of

ROWS = 60


def batching(trigger: dict[str, Any], **supervisor: Any) -> dict[str, Any]:
    value = settings(ordered=True, poison_attempts=2, **supervisor)
    value["aggregations"][0] |= {"on_error": "bad", "trigger": trigger}
    return value


def written(folder: Path, name: str) -> list[int]:
    with (folder / "output" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return [int(row["id"]) for row in csv.DictReader(file)]


def refused(folder: Path) -> list[tuple[int, dict[str, Any]]]:
    """The rows that went where errors go, with the evidence."""
    found = query(
        folder,
        "SELECT r.row_index, e.error_json FROM transform_errors e JOIN tokens t ON t.token_id = e.token_id"
        " JOIN rows r ON r.row_id = t.row_id ORDER BY 1",
    )
    return [(index, json.loads(error)) for index, error in found]


BY_COUNT = {"count": 7}
BY_CONDITION = {"condition": "row['id'] % 20 == 10"}
AT_THE_END = {"count": 40}
KINDS: dict[str, tuple[dict[str, Any], int, list[int]]] = {
    "count": (BY_COUNT, 16, list(range(14, 21))),
    "condition": (BY_CONDITION, 24, list(range(11, 31))),
    "end of source": (AT_THE_END, 44, list(range(40, ROWS))),
}


@pytest.mark.parametrize("how", ["bomb", "group"])
@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_batch_whose_flush_kills_the_whole_tree_is_set_aside_alone(tmp_path: Path, kind: str, how: str) -> None:
    trigger, row, batch = KINDS[kind]
    folder = lay(tmp_path / "run", ROWS, batching(trigger), {row: f"batch-{how}"})
    ends, log = driven(folder)
    # Two that go as always; one that goes row by row, and one in which the batch is known; the last sets it aside.
    assert_set_aside(folder, ends, log)
    assert [index for index, _ in refused(folder)] == batch
    for _, error in refused(folder):
        assert error["reason"] == "killed the processes of earlier attempts"
        assert (error["attempts"], error["poison"]) == (2, True)
    assert written(folder, "bad") == batch
    assert sorted(written(folder, "high") + written(folder, "low") + batch) == list(range(ROWS))
    assert events(folder, "suspect") == []  # no row is blamed
    named = [event["batches"][0]["batch"] for event in events(folder, "in_hand")]
    assert len(named) == 2
    assert len(set(named)) == 1
    assert query(folder, "SELECT status FROM batches WHERE batch_id = ?", named[0]) == [("failed",)]
    assert violations(folder, recompute=False) == []
    told = elspeth("explain", "--run", "latest", "--row", str(row), "--database", DATABASE, cwd=folder).stdout
    assert "killed the processes of earlier attempts" in told
    assert named[0] in told
    assert run_of(folder)[1:] == ("completed", len(ends))


def test_a_batch_that_a_time_out_flushes_is_set_aside_as_well(tmp_path: Path) -> None:
    value = batching({"timeout_seconds": 0.2})
    value["source"] = {"plugin": "drip", "options": {"rows": 5, "pause": 6.0, "act": "batch-group"}}
    folder = lay(tmp_path / "run", 0, value)
    ends, log = driven(folder)
    assert_set_aside(folder, ends, log)
    aside = [index for index, _ in refused(folder)]
    assert aside[0] == 0
    assert written(folder, "bad") == aside
    assert sorted(aside + written(folder, "high") + written(folder, "low")) == list(range(5))
    assert events(folder, "suspect") == []
    assert {event["batches"][0]["node"] for event in events(folder, "in_hand")} == {"batch"}


def test_of_many_rows_the_batch_is_found_and_its_neighbours_come_through(tmp_path: Path) -> None:
    value = batching({"count": 50})
    value["checkpoint"] = {"frequency": "every_n", "checkpoint_interval": 1000, "max_seconds": 600}
    folder = lay(tmp_path / "run", 3000, value, {777: "batch-group"})
    ends, log = driven(folder)
    assert_set_aside(folder, ends, log)
    assert [index for index, _ in refused(folder)] == list(range(750, 800))
    assert events(folder, "suspect") == []


BEHIND: dict[str, dict[str, Any]] = {"passed on": {}, "replaced": {"output_mode": "transform"}}


@pytest.mark.parametrize("how", ["bomb", "group"])
@pytest.mark.parametrize("mode", sorted(BEHIND))
def test_what_came_of_a_batch_and_kills_the_whole_tree_later_is_set_aside_alone(
    tmp_path: Path, mode: str, how: str
) -> None:
    """Row 16 is the third of its batch, which row 20 closes: a row that is in hand when it happens, and innocent."""
    value = batching(BY_COUNT)
    value["source"]["on_success"] = "rows"
    value["transforms"][0] |= {"name": "first", "input": "rows", "on_success": "to_batch"}
    value["aggregations"][0] |= {"input": "to_batch", "on_success": "to_after", **BEHIND[mode]}
    after = {"name": "after", "plugin": "trial_after", "on_error": "bad", "input": "to_after", "on_success": "to_gate"}
    value["transforms"].append(after)
    value["gates"][0]["input"] = "to_gate"
    folder = lay(tmp_path / "run", ROWS, value, {16: f"after-{how}"})
    ends, log = driven(folder)
    assert_set_aside(folder, ends, log)
    assert written(folder, "bad") == [16]
    assert sorted([*written(folder, "high"), *written(folder, "low")]) == [row for row in range(ROWS) if row != 16]
    assert events(folder, "suspect") == []  # no row is blamed, the one that closed the batch least of all
    named = {event["tokens"][0]["token"] for event in events(folder, "in_hand")}
    assert len(named) == 1
    (token,) = named
    assert query(folder, "SELECT outcome FROM token_outcomes WHERE token_id = ? AND outcome <> 'buffered'", token) == [
        ("quarantined",)
    ]
    assert violations(folder, recompute=False) == []
    assert f"token {token} was set aside" in elspeth("status", "latest", "--database", DATABASE, cwd=folder).stdout
    assert run_of(folder)[1:] == ("completed", len(ends))


@pytest.mark.parametrize("how", ["bomb", "group"])
@pytest.mark.parametrize("mode", sorted(BEHIND))
def test_what_came_of_a_batch_and_kills_the_whole_tree_while_it_is_written_is_set_aside_alone(
    tmp_path: Path, mode: str, how: str
) -> None:
    """Row 16 is the third of its batch, which row 20 closes: it has gone through every step by then."""
    value = settings(ordered=True, poison_attempts=2, sink="trial_csv")
    value["aggregations"][0] |= {"on_error": "bad", "trigger": BY_COUNT, **BEHIND[mode]}
    folder = lay(tmp_path / "run", ROWS, value, {16: f"sink-{how}"})
    ends, log = driven(folder)
    assert_set_aside(folder, ends, log)
    assert written(folder, "bad") == [16]
    assert sorted([*written(folder, "high"), *written(folder, "low")]) == [row for row in range(ROWS) if row != 16]
    assert events(folder, "suspect") == []  # no row is blamed, the one that closed the batch least of all
    named = {(event["tokens"][0]["token"], event["tokens"][0]["sink"]) for event in events(folder, "in_hand")}
    ((token, sink),) = named
    assert sink == "low"
    ((error,),) = query(folder, "SELECT error_json FROM transform_errors WHERE token_id = ?", token)
    assert json.loads(error)["reason"].endswith("killed the processes of earlier attempts")
    assert query(folder, "SELECT outcome FROM token_outcomes WHERE token_id = ? AND outcome <> 'buffered'", token) == [
        ("quarantined",)
    ]
    assert violations(folder, recompute=False) == []
    assert (
        f"token {token} at low was set aside" in elspeth("status", "latest", "--database", DATABASE, cwd=folder).stdout
    )
    told = elspeth("explain", "--run", "latest", "--row", "16", "--database", DATABASE, cwd=folder).stdout
    assert "killed the processes of earlier attempts" in told
    assert elspeth("replay", "latest", "--database", DATABASE, cwd=folder).returncode == 0
    assert run_of(folder)[1:] == ("completed", len(ends))
