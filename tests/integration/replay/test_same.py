"""What a replay says of runs that are as they were: all of it is decided again, whatever happened in them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from elspeth.runs.lifecycle.pipeline import load_pipeline
from elspeth.settings import SettingsProblems
from tests.kit.fixtures.unpack import KEY, unpack
from tests.kit.pipelines.generator import pipeline, place
from tests.kit.pipelines.listening import LISTENING
from tests.kit.pipelines.trial import lay, settings
from tests.kit.processes import program
from tests.kit.processes.recorded_run import query, snapshot
from tests.kit.processes.running import EXAMPLES, begin, elspeth, wait_until
from tests.kit.processes.tree import DATABASE, Tree, committed, driven
from tests.kit.processes.waiting import wait_until as wait_for

RUN = ("run", "--settings", "pipeline.yaml", "--execute")
NAMES = sorted(path.parent.name for path in EXAMPLES.glob("*/expected"))


def replayed(folder: Path, *words: str, code: int = 0, reference: str = "latest", **variables: str) -> dict[str, Any]:
    """What a replay says, which is to write nothing at all below the folder."""
    before = snapshot(folder)
    done = elspeth("replay", reference, "--json", *words, cwd=folder, **variables)
    assert done.returncode == code, done.stdout + done.stderr
    assert snapshot(folder) == before
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_example_is_decided_again_as_it_was(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    shutil.copytree(EXAMPLES / name, folder, ignore=shutil.ignore_patterns("output", "runs", "state", "__pycache__"))
    with program.programs() as programs:
        if (folder / "with_model.py").exists():
            words = [sys.executable, "with_model.py", *program.COMMAND, *RUN]
            subprocess.run(words, cwd=folder, check=True, capture_output=True, timeout=120)
        else:
            programs.call(folder, *RUN)
    found = replayed(folder)
    assert found["same"]
    assert found["rows"] == query(folder / DATABASE, "SELECT count(*) FROM rows")[0][0]
    asked = query(folder / DATABASE, "SELECT count(DISTINCT state_id) FROM calls")[0][0]
    assert (found["answers_from_record"] > 0) == (asked > 0)


@pytest.mark.parametrize("block", range(6))
def test_random_pipelines_are_decided_again_as_they_were(block: int, tmp_path: Path) -> None:
    _random(tmp_path, range(block * 4, block * 4 + 4))


@pytest.mark.campaign
@pytest.mark.parametrize("block", range(40))
def test_many_random_pipelines_are_decided_again_as_they_were(block: int, tmp_path: Path) -> None:
    _random(tmp_path, range(1000 + block * 10, 1010 + block * 10))


def _random(tmp_path: Path, seeds: range) -> None:
    tried = 0
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        path = place(*pipeline(seed), folder)
        try:
            load_pipeline(path)
        except SettingsProblems:
            continue  # a condition asks for a field that no row can have there: refused before a run
        tried += 1
        assert elspeth("run", "--settings", path, "--execute", cwd=folder).returncode in (0, 10)
        assert replayed(folder)["same"], f"seed {seed}:\n{path.read_text()}"
    assert tried > len(seeds) // 2


# -- runs in which something died -----------------------------------------------------------------------------------


def test_a_run_that_was_killed_and_resumed(tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 400, settings(delay=0.004, ordered=True))
    with Tree.run(folder) as tree:
        wait_for(lambda: committed(folder) > 100, "some rows are on record")
        tree.strike("main")
        assert tree.wait() == -9
    with Tree.resume(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert replayed(folder)["same"]


@pytest.mark.parametrize("ordered", [False, True])
def test_a_row_that_killed_its_worker_is_not_touched_again(ordered: bool, tmp_path: Path) -> None:
    folder = lay(tmp_path / "run", 60, settings(ordered=ordered, sink="trial_csv"), {17: "kill", 40: "sink-kill"})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert query(folder / DATABASE, "SELECT count(*) FROM supervision_events WHERE event = 'suspect'")[0][0]
    assert replayed(folder)["same"]


@pytest.mark.parametrize("trigger", [{"count": 7}, {"condition": "row['id'] % 20 == 10"}, {"count": 40}])
def test_a_batch_whose_flush_killed_its_process_is_not_touched_again(trigger: dict[str, Any], tmp_path: Path) -> None:
    value = settings(ordered=True, poison_attempts=2)
    value["aggregations"][0] |= {"on_error": "bad", "trigger": trigger}
    folder = lay(tmp_path / "run", 60, value, {44: "batch-kill"})
    with Tree.run(folder) as tree:
        assert tree.wait() == 0, tree.log
    assert query(folder / DATABASE, "SELECT count(*) FROM batches WHERE status = 'failed'") == [(1,)]
    assert replayed(folder)["same"]


def test_a_batch_that_killed_the_whole_run_is_not_touched_again(tmp_path: Path) -> None:
    value = settings(ordered=True, poison_attempts=2)
    value["aggregations"][0] |= {"on_error": "bad"}
    folder = lay(tmp_path / "run", 60, value, {44: "batch-group"})
    ends, log = driven(folder)
    assert ends[-1] == 0, log
    assert replayed(folder)["same"]


# -- time-outs ------------------------------------------------------------------------------------------------------

ONLY_ID = {"mode": "fixed", "fields": ["id: int"]}

MEETING = """
gates: [{name: g, input: rows, condition: "True", routes: {"true": fork}, fork_to: [a, b]}]
aggregations:
  - {name: hold, plugin: batch_replicate, input: b, on_success: rb, trigger: {timeout_seconds: %s},
     output_mode: passthrough, options: {include_copy_index: false}}
coalesce:
  - {name: m, branches: {a: a, b: rb}, policy: best_effort, timeout_seconds: %s, merge: nested, on_success: out}
"""
TWICE = """
gates: [{name: g, input: rows, condition: "row['n'] % 2 == 0", routes: {"true": even, "false": odd}}]
aggregations:
  - {name: held, plugin: batch_stats, input: even, on_success: odd, trigger: {timeout_seconds: 0.4},
     options: {value_field: n}}
  - {name: pairs, plugin: batch_replicate, input: odd, on_success: out, trigger: {count: 3},
     output_mode: passthrough, options: {include_copy_index: false}}
"""
AGE = """
aggregations:
  - {name: aged, plugin: batch_stats, input: rows, on_success: out, options: {value_field: n},
     trigger: {condition: "row['batch_age_seconds'] > 0.3 and row['n'] > 0"}}
"""


def said(folder: Path, number: int, text: str = "row") -> None:
    (folder / "partial").write_text(text)
    (folder / "partial").rename(folder / "said" / str(number))


@pytest.mark.parametrize(
    ("steps", "fired"),
    [(MEETING % (0.4, 60), "timeout"), (MEETING % (60, 0.4), "timeout"), (TWICE, "timeout"), (AGE, "condition")],
)
def test_what_the_clock_let_go_is_let_go_again_where_it_was(steps: str, fired: str, tmp_path: Path) -> None:
    (tmp_path / "said").mkdir()
    (tmp_path / "listening.py").write_text(LISTENING)
    (tmp_path / "pipeline.yaml").write_text(
        "plugins: [listening.py]\n"
        "source: {plugin: listening, options: {folder: said}, on_success: rows, on_validation_failure: discard}\n"
        + steps + "sinks: {out: {plugin: json, options: {path: out.jsonl, format: jsonl}}}\n"
        "checkpoint: {max_seconds: 0.2}\n"
    )  # fmt: skip
    process = begin(*RUN, cwd=tmp_path)
    count = f"SELECT count(*) FROM batches WHERE trigger_type = '{fired}'"

    def fires(times: int) -> bool:
        return committed(tmp_path) > 0 and query(tmp_path / DATABASE, count)[0][0] >= times

    number = 0
    for times in (1, 2, 3):
        for _ in range(4):
            said(tmp_path, number)
            number += 1
        if fired == "condition":  # it is looked at when a row comes: give it time to be old, then a row
            wait_until(partial(_aged, tmp_path, number), process)
            said(tmp_path, number)
            number += 1
        wait_until(partial(fires, times), process)
    for _ in range(2):
        said(tmp_path, number)
        number += 1
    said(tmp_path, number, "end")
    printed = process.communicate(timeout=60)
    assert process.returncode == 0, printed
    found = replayed(tmp_path)
    assert found["same"], found
    assert found["rows"] == number
    assert found["order_compared"] == (fired == "condition")


def _aged(folder: Path, rows: int) -> bool:
    """Whether all rows are in a batch on record, which is old enough by now."""
    if not committed(folder):
        return False
    found = query(folder / DATABASE, "SELECT message FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1")
    state = json.loads(found[0][0]) if found else {}
    aged = (state.get("stages") or {}).get("1", {}).get("aged")
    if state.get("rows") != rows or not aged:
        return False
    since = datetime.fromisoformat(aged["since"].replace("Z", "+00:00"))
    return datetime.now(UTC) > since + timedelta(seconds=0.6)


# -- other runs -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["completed", "signed"])
def test_runs_of_the_first_layout(name: str, tmp_path: Path) -> None:
    folder = unpack(name, tmp_path / "kept")
    runs = query(folder / DATABASE, "SELECT run_id, status FROM runs WHERE completed_at IS NOT NULL")
    assert runs
    for run, _ in runs:
        found = replayed(folder, "--working-directory", ".", reference=run, ELSPETH_SIGNING_KEY=KEY)
        assert found["same"], found
        assert found["rows"]


def test_rows_that_sinks_refused_and_input_that_was_no_row(tmp_path: Path) -> None:
    rows = [{"id": 1}, {"id": "x"}, {"id": 2, "more": 1}, {"id": 3}, {"id": 4, "more": 2}]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "no row\n")
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump({
        "source": {"plugin": "json", "options": {"path": "in.jsonl", "schema": {"mode": "free", "fields": ["id: int"]}},
                   "on_validation_failure": "bad"},
        "gates": [{"name": "late", "condition": "row['id'] > 3", "routes": {"true": "none", "false": "continue"}}],
        "sinks": {
            "out": {"plugin": "csv", "options": {"path": "out.csv"}, "on_write_failure": "bad"},
            "none": {"plugin": "csv", "options": {"path": "none.csv", "schema": ONLY_ID}},
            "bad": {"plugin": "json", "options": {"path": "bad.jsonl", "format": "jsonl"}},
        },
        "default_sink": "out",
    }, sort_keys=False))  # fmt: skip
    done = elspeth(*RUN, cwd=tmp_path)
    assert done.returncode in (0, 10), done.stderr
    assert query(tmp_path / DATABASE, "SELECT count(*) FROM validation_errors") == [(2,)]
    refused = query(tmp_path / DATABASE, "SELECT node_id FROM transform_errors ORDER BY error_id")
    assert refused == [("out",), ("none",)]
    assert replayed(tmp_path)["same"]
