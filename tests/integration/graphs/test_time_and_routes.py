"""What only the real tree shows: time-outs while the source is idle, small checkpoints, errors as routes."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.kit.pipelines.listening import LISTENING
from tests.kit.processes import program
from tests.kit.processes.waiting import wait_until

WAITING = """
plugins: [listening.py]
source: {plugin: listening, options: {folder: said}, on_success: rows, on_validation_failure: discard}
gates: [{name: g, input: rows, condition: "True", routes: {"true": fork}, fork_to: [a, b]}]
aggregations:
  - {name: hold, plugin: batch_replicate, input: b, on_success: rb, trigger: {timeout_seconds: %s},
     output_mode: passthrough, options: {include_copy_index: false}}
coalesce:
  - {name: m, branches: {a: a, b: rb}, policy: best_effort, timeout_seconds: %s, merge: nested, on_success: out}
sinks: {out: {plugin: json, options: {path: out.jsonl}}}
checkpoint: {max_seconds: 0.3}
"""


@pytest.fixture
def programs() -> Iterator[program.Programs]:
    with program.programs() as started:
        yield started


def lay_out(folder: Path, settings: str) -> Path:
    (folder / "said").mkdir(parents=True)
    (folder / "listening.py").write_text(LISTENING)
    (folder / "pipeline.yaml").write_text(settings)
    return folder


def say(folder: Path, number: int, text: str = "row") -> None:
    partial = folder / "partial"
    partial.write_text(text)
    partial.rename(folder / "said" / str(number))


def ask(folder: Path, query: str) -> list[Any]:
    try:
        db = sqlite3.connect(f"file:{folder}/runs/audit.db?mode=ro", uri=True)
    except sqlite3.OperationalError:
        return []
    try:
        return db.execute(query).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        db.close()


RUN = ("run", "--settings", "pipeline.yaml", "--execute")
FIRED = "SELECT batch_id FROM batches WHERE trigger_type = 'timeout' AND batch_id LIKE '%{}'"


@pytest.mark.parametrize(("hold", "meet", "node"), [("0.5", "60", "@hold"), ("60", "0.5", "+m")])
def test_a_time_out_fires_while_the_source_is_idle(
    hold: str, meet: str, node: str, tmp_path: Path, programs: program.Programs
) -> None:
    folder = lay_out(tmp_path / "run", WAITING % (hold, meet))
    say(folder, 0)
    run = programs.start(folder, *RUN)
    wait_until(lambda: ask(folder, FIRED.format(node)), what="the time-out is on record")
    say(folder, 1, "end")
    run.ends_with(0)
    branches = [list(json.loads(line)) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert branches == ([["a", "b"]] if node == "@hold" else [["a"]])


def test_the_age_of_what_waits_survives_a_kill(tmp_path: Path, programs: program.Programs) -> None:
    folder = lay_out(tmp_path / "run", WAITING % ("60", "60"))
    say(folder, 0)
    run = programs.start(folder, *RUN)

    def states() -> list[Any]:
        found = ask(folder, "SELECT message FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1")
        return [json.loads(found[0][0])] if found else []

    wait_until(lambda: states() and states()[0]["stages"].get("1"), what="both branches wait, on record")
    opened = states()[0]["stages"]["1"]["hold"]["opened"]
    active_seconds = wait_until(lambda: (d := states()[0]["driven"]) > opened + 1.0 and d, what="time is on record")
    run.kill()
    again = programs.start(folder, "resume", "latest")
    say(folder, 1)
    wait_until(lambda: states()[0]["rows"] == 2, what="the second row is on record")
    found = states()[0]
    assert found["stages"]["1"]["hold"]["opened"] == opened
    assert found["stages"]["1"]["m"]["waiting"] == 2
    assert found["driven"] >= active_seconds
    say(folder, 2, "end")
    again.ends_with(0)
    rows = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert rows == [{"a": {"n": n}, "b": {"n": n}} for n in range(2)]


def test_a_checkpoint_stays_small_with_a_hundred_thousand_rows_waiting(
    tmp_path: Path, programs: program.Programs
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "rows.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(100_000)))
    (folder / "pipeline.yaml").write_text("""
source:
  plugin: csv
  options: {path: rows.csv, schema: {mode: fixed, fields: ["n: int"]}}
  on_validation_failure: discard
aggregations: [{name: all, plugin: batch_stats, options: {value_field: n}, output_mode: transform}]
sinks: {out: {plugin: json, options: {path: out.jsonl}}}
default_sink: out
checkpoint: {frequency: every_n, checkpoint_interval: 10000}
""")
    programs.call(folder, *RUN)
    sizes = ask(folder, "SELECT length(message) FROM checkpoints")
    assert len(sizes) >= 10
    assert max(size for (size,) in sizes) < 4096
    [row] = (folder / "out.jsonl").read_text().splitlines()
    assert json.loads(row)["batch_size"] == 100_000


ROUTES = """
source:
  plugin: csv
  options: {path: rows.csv, schema: {mode: free, fields: ["n: int", "t: str"]}, on_validation_failure: %s}
transforms:
  - {name: filter, plugin: keyword_filter, options: {fields: [t], blocked_patterns: [bad]}, on_error: %s}
sinks:
  out:
    plugin: csv
    options: {path: out.csv, schema: {mode: fixed, fields: ["n: int", "t: str"]}}
    on_write_failure: %s
  %s
default_sink: out
"""


@pytest.mark.parametrize("target", ["aside", "discard"])
def test_errors_are_routes_and_on_record_with_node_reason_and_row(
    target: str, tmp_path: Path, programs: program.Programs
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "rows.csv").write_text("n,t\n1,good\nx,good\n2,bad\n3,good\n")
    aside = "aside: {plugin: json, options: {path: aside.jsonl}}" if target == "aside" else ""
    (folder / "pipeline.yaml").write_text(ROUTES % (target, target, target, aside))
    ran = programs.call(folder, *RUN, "--fail-on-rows", code=10)
    outcome = "quarantined" if target == "aside" else "discarded"
    assert f"2 {outcome}" in ran.said
    errors = ask(folder, "SELECT node_id, row_id, line, destination FROM validation_errors")
    assert [(node, row[-9:], line, to) for node, row, line, to in errors] == [("source", "000000001", 3, target)]
    [(node, token, text, to)] = ask(folder, "SELECT node_id, token_id, error_json, destination FROM transform_errors")
    assert (node, token[-9:], to, json.loads(text)["node"]) == ("filter", "000000002", target, "filter")
    assert json.loads(text)["reason"]
    ends = ask(folder, "SELECT outcome, sink_name FROM token_outcomes ORDER BY token_id")
    there = None if target == "discard" else "aside"
    assert ends == [("completed", "out"), (outcome, there), (outcome, there), ("completed", "out")]
    if target == "aside":
        rows = [json.loads(line) for line in (folder / "aside.jsonl").read_text().splitlines()]
        assert [row["n"] for row in rows] == ["x", 2]


def test_without_fail_on_rows_the_same_run_is_a_success_that_says_so(
    tmp_path: Path, programs: program.Programs
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "rows.csv").write_text("n,t\nx,good\n1,good\n")
    (folder / "pipeline.yaml").write_text(ROUTES % ("discard", "discard", "discard", ""))
    assert "1 discarded" in programs.call(folder, *RUN, code=0).said
