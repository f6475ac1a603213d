"""`runs`, `status` and `health` while runs are driven, stopped, killed and finished."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.kit.processes.held import ROWS, elspeth, held_run, killed_run, make


def asked(folder: Path, *words: str, **environ: str) -> dict[str, Any]:
    """What a command says with --json, with its exit code."""
    done = elspeth(folder, *words, "--json", **environ)
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "exit_code": done.returncode}


def checks(answer: dict[str, Any]) -> dict[str, tuple[bool, str]]:
    return {check["name"]: (check["well"], check["message"]) for check in answer["checks"]}


def test_a_run_can_be_looked_at_while_it_is_driven(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run_id):
        found = asked(tmp_path, "status", "latest")
        (line,) = asked(tmp_path, "runs")["runs"]
        well = asked(tmp_path, "health")
        (tmp_path / "go").touch()
        assert process.wait(60) == 0
    assert (found["run_id"], found["status"], found["state"]) == (run_id, "running", "alive")
    assert (line["status"], line["state"], line["rows"] > 0) == ("running", "alive", True)
    people = {one["role"]: one for one in found["processes"]}
    assert set(people) >= {"main", "audit", "sinks", "source", "worker-1"}
    assert people["main"]["pid"] == process.pid
    assert all(one["state"] == "alive" and one["resident_bytes"] > 1_000_000 for one in people.values())
    assert found["balance"]["rows"] == found["balance"]["terminal"] > 0
    assert well["exit_code"] == 0
    fine, told = checks(well)["run"]
    assert fine
    assert told.startswith(f"{run_id} is driven, its heartbeat moves")  # what it waits for may follow


def test_a_run_that_was_killed_in_the_middle_and_resumed_tells_its_story(tmp_path: Path) -> None:
    run_id = killed_run(make(tmp_path))
    (line,) = asked(tmp_path, "runs")["runs"]
    assert (line["status"], line["state"], line["resumable"]) == ("running", "orphaned", True)
    assert asked(tmp_path, "status", run_id)["next_command"] == f"elspeth resume {run_id}"
    assert asked(tmp_path, "health")["exit_code"] == 0
    (tmp_path / "go").touch()
    assert elspeth(tmp_path, "resume", run_id).returncode == 0
    found = asked(tmp_path, "status", run_id)
    assert (found["status"], found["state"], found["attempts"], found["rows"]) == ("completed", None, 2, ROWS)
    assert found["balance"] == {
        "rows": ROWS, "tokens": ROWS, "terminal": ROWS, "open": 0, "outcomes": {"completed": ROWS},
    }  # fmt: skip
    assert {node["node_id"]: node["counts"] for node in found["nodes"]} == {
        "source": {"read": ROWS}, "hold_1": {"completed": ROWS}, "output": {"written": ROWS},
    }  # fmt: skip
    story = [told["sentence"] for told in found["history"]]
    assert story[0].startswith("attempt 1 began: ")
    assert any(sentence.startswith("attempt 2 began: ") for sentence in story)
    assert story[-1] == "the run completed"
    assert found["next_command"] is None
    shown = elspeth(tmp_path, "status", "latest").stdout
    assert "3,000 rows, 3,000 tokens: every one has its outcome (3,000 completed)" in shown


def test_a_child_that_was_killed_is_in_the_story_with_its_restart(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run_id):
        before = asked(tmp_path, "status", run_id)
        (pid,) = [one["pid"] for one in before["processes"] if one["role"] == "source"]
        os.kill(pid, signal.SIGKILL)
        (tmp_path / "go").touch()
        assert process.wait(60) == 0
    found = asked(tmp_path, "status", run_id)
    sentences = [told["sentence"] for told in found["history"]]
    assert f"source (pid {pid}) was killed by SIGKILL" in sentences
    (source,) = [one for one in found["processes"] if one["role"] == "source"]
    assert (source["restarts"], source["state"]) == (1, "gone")


def test_a_frozen_main_process_is_not_healthy(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (process, run_id):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        answer = asked(tmp_path, "health")
    assert answer["exit_code"] == 1
    assert checks(answer)["run"] == (False, f"{run_id} is frozen: its main process {process.pid} is stopped")


def test_a_heartbeat_that_does_not_move_is_not_healthy(tmp_path: Path) -> None:
    with held_run(make(tmp_path)) as (_, run_id):
        answer = asked(tmp_path, "health", "--watch", "0")
    assert answer["exit_code"] == 1
    assert checks(answer)["run"] == (False, f"{run_id}: its heartbeat has not moved for 0 s")


def test_before_the_first_run_all_is_well(tmp_path: Path) -> None:
    answer = asked(tmp_path, "health")
    assert (answer["exit_code"], answer["healthy"]) == (0, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "well"), [(b"", True), (b"no database", False), (b"SQLite format 3\0" * 99, False)]
)
def test_what_stands_in_the_place_of_a_database_must_be_one(content: bytes, well: bool, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "audit.db").write_bytes(content)
    answer = asked(tmp_path, "health")
    assert (answer["exit_code"], checks(answer)["database"][0]) == (0 if well else 1, well)
    assert "runs/audit.db" in str(checks(answer)["database"])


def test_a_database_that_is_named_must_be_there(tmp_path: Path) -> None:
    assert asked(tmp_path, "health", "--database", "audit.db")["exit_code"] == 1
    answer = asked(tmp_path, "health", ELSPETH_LANDSCAPE__URL="sqlite:///audit.db")
    assert (answer["exit_code"], checks(answer)["database"][0]) == (1, False)


def test_runs_are_chosen_by_status_and_number(tmp_path: Path) -> None:
    settings = make(tmp_path)
    (tmp_path / "go").touch()
    for _ in range(2):
        assert elspeth(tmp_path, "run", "--settings", settings.name, "--execute").returncode == 0
    with closing(sqlite3.connect(tmp_path / "runs" / "audit.db")) as connection, connection:
        (first, second) = [row[0] for row in connection.execute("SELECT run_id FROM runs ORDER BY started_at")]
        connection.execute("UPDATE runs SET status = 'failed', failure = 'x' WHERE run_id = ?", (first,))
    assert [run["run_id"] for run in asked(tmp_path, "runs")["runs"]] == [second, first]
    assert [run["run_id"] for run in asked(tmp_path, "runs", "--limit", "1")["runs"]] == [second]
    assert [run["run_id"] for run in asked(tmp_path, "runs", "--status", "failed")["runs"]] == [first]
    assert "holds no interrupted runs" in elspeth(tmp_path, "runs", "--status", "interrupted").stdout
    assert first in elspeth(tmp_path, "runs").stdout
