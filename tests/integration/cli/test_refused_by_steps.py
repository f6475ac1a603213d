"""Rows that a step refused reach their sink with the reason and the step's name, whatever else comes there."""

from __future__ import annotations

import csv
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from elspeth.settings import load_stored
from tests.kit.fixtures.unpack import run_ids, unpack
from tests.kit.processes.running import elspeth

BEGIN = """
source: {plugin: csv, options: {path: in.csv, schema: {mode: free, fields: ["id: int"]}}, on_validation_failure: ON}
landscape: {url: "sqlite:///./audit.db"}
concurrency: {max_workers: 1}
default_sink: out
"""
TWO_STEPS = """
transforms:
  - {name: number, plugin: type_coerce, options: {conversions: [{field: a, to: int}]}, on_error: aside}
  - name: share
    plugin: value_transform
    options: {operations: [{target: half, expression: "row['a'] / 2"}, {target: x, expression: "10 / row['a']"}]}
    on_error: aside
"""
TWO_MORE_STEPS = """
transforms:
  - {name: number, plugin: type_coerce, options: {conversions: [{field: a, to: int}]}, on_error: aside}
  - name: halve
    plugin: value_transform
    options: {operations: [{target: half, expression: "row['a'] / 2"}]}
  - name: share
    plugin: value_transform
    options: {operations: [{target: x, expression: "10 / row['a']"}]}
    on_error: aside
"""
RUN = ("run", "--settings", "pipeline.yaml", "--execute", "--allow-all-failed")


def go(folder: Path, steps: str, sinks: str, rows: str, *, on: str = "aside", header: str = "id,a") -> dict[str, int]:
    """Run it, and answer how many tokens ended how."""
    (folder / "pipeline.yaml").write_text(BEGIN.replace("ON", on) + steps + "sinks:\n" + sinks)
    (folder / "in.csv").write_text(f"{header}\n{rows}")
    done = elspeth(*RUN, cwd=folder)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(folder / "audit.db") as database:
        counts = database.execute("SELECT outcome, count(*) FROM token_outcomes WHERE is_terminal GROUP BY outcome")
        return dict(counts.fetchall())


def read(path: Path) -> list[dict[str, Any]]:
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


OUT = "  out: {plugin: csv, options: {path: out.csv}}\n"


def test_one_csv_takes_what_the_source_and_what_steps_of_two_shapes_refused(tmp_path: Path) -> None:
    outcomes = go(tmp_path, TWO_STEPS, OUT + "  aside: {plugin: csv, options: {path: aside.csv}}\n",
                  "x,1\n1,no\n2,3\n3,4,5\n")  # fmt: skip
    rows = read(tmp_path / "aside.csv")
    assert list(rows[0]) == ["id", "a", "_line", "_error", "_raw", "_node"]
    assert [(row["id"], row["a"], row["_line"], row["_node"]) for row in rows] == [
        ("x", "1", "2", ""), ("1", "no", "", "number"), ("3", "4", "5", "")
    ]  # fmt: skip
    assert all(row["_error"] for row in rows)
    assert outcomes == {"quarantined": 3, "completed": 1}


def test_a_csv_of_refused_rows_alone_loses_none_that_lacks_a_later_field(tmp_path: Path) -> None:
    steps = TWO_STEPS.replace("on_error: aside}", "on_error: aside, on_success: more}", 1).replace(
        "  - name: share\n", "  - name: share\n    input: more\n"
    )
    outcomes = go(tmp_path, steps, OUT + "  aside: {plugin: csv, options: {path: aside.csv}}\n",
                  "1,0\n2,no\n3,5\n", on="discard")  # fmt: skip
    rows = read(tmp_path / "aside.csv")
    assert list(rows[0]) == ["id", "a", "_error", "_node"]
    assert [(row["id"], row["_node"]) for row in rows] == [("1", "share"), ("2", "number")]
    assert "division by zero" in rows[0]["_error"]
    assert outcomes == {"quarantined": 2, "completed": 1}


@pytest.mark.parametrize("on", ["discard", "aside"])
def test_a_csv_that_an_early_step_begins_has_columns_for_what_later_steps_refuse(tmp_path: Path, on: str) -> None:
    outcomes = go(tmp_path, TWO_MORE_STEPS, OUT + "  aside: {plugin: csv, options: {path: aside.csv}}\n",
                  "1,no\n2,0\n3,5\n", on=on)  # fmt: skip
    rows = read(tmp_path / "aside.csv")
    evidence = ["_line", "_error", "_raw", "_node"] if on == "aside" else ["_error", "_node"]
    assert list(rows[0]) == ["id", "a", "half", *evidence]
    assert [(row["id"], row["half"], row["_node"]) for row in rows] == [("1", "", "number"), ("2", "0.0", "share")]
    assert outcomes == {"quarantined": 2, "completed": 1}


def test_rows_that_passed_all_steps_and_rows_that_did_not_share_a_csv(tmp_path: Path) -> None:
    steps = TWO_MORE_STEPS.replace("on_error: aside", "on_error: out")
    outcomes = go(tmp_path, steps, OUT, "1,no\n2,0\n3,5\n", on="discard")
    rows = read(tmp_path / "out.csv")
    assert [(row["id"], row["half"], row["x"], row["_node"]) for row in rows] == [
        ("1", "", "", "number"), ("2", "0.0", "", "share"), ("3", "2.5", "2.0", "")
    ]  # fmt: skip
    assert outcomes == {"quarantined": 2, "completed": 1}


def test_one_csv_takes_rows_that_passed_and_rows_that_a_gate_refused(tmp_path: Path) -> None:
    gate = 'gates: [{name: big, condition: "row[\'a\'] > 3", routes: {"true": out, "false": out}, on_error: out}]\n'
    go(tmp_path, gate, OUT, "1,no\n2,3\n", on="discard")
    rows = read(tmp_path / "out.csv")
    assert list(rows[0]) == ["id", "a", "_error", "_node"]
    assert [row["_node"] for row in rows] == ["big", "big"]  # text is no number, for both of them


def test_members_of_a_batch_that_failed_carry_the_reason(tmp_path: Path) -> None:
    batch = (
        "aggregations: [{name: sums, plugin: batch_stats, options: {value_field: a}, trigger: {count: 2}, "
        "on_error: aside}]\n"
    )
    go(tmp_path, batch, OUT + "  aside: {plugin: json, options: {path: aside.jsonl}}\n", "1,no\n2,3\n", on="discard")
    rows = read(tmp_path / "aside.jsonl")
    assert [(row["id"], row["_node"], bool(row["_error"])) for row in rows] == [(1, "sums", True), (2, "sums", True)]


def test_what_a_sink_refused_carries_its_name_and_what_was_refused_before_keeps_its_reason(tmp_path: Path) -> None:
    sinks = (
        "  out: {plugin: csv, options: {path: out.csv, encoding: ascii}, on_write_failure: last}\n"
        "  aside: {plugin: text, options: {path: aside.txt, column: a}, on_write_failure: last}\n"
        "  last: {plugin: json, options: {path: last.jsonl}}\n"
    )
    go(tmp_path, "", sinks, "1,ä\n2,b\n")
    (row,) = read(tmp_path / "last.jsonl")
    assert (row["id"], row["_node"]) == (1, "out")
    assert "cannot express" in row["_error"]
    go(tmp_path, "", sinks, "x\n")
    (row,) = read(tmp_path / "last.jsonl")
    assert "_node" not in row
    assert row["_error"] == "has 1 field where 2 are expected", "why its source refused it"


@pytest.mark.parametrize(
    ("sink", "fields"),
    [
        ("{plugin: csv, options: {path: aside.csv, schema: {mode: fixed, fields: FIELDS}}}", ["id", "a"]),
        ("{plugin: json, options: {path: aside.jsonl, schema: {mode: fixed, fields: FIELDS}}}", ["id", "a"]),
        ("{plugin: json, options: {path: aside.jsonl}, error_fields: false}", ["id", "a"]),
        (
            "{plugin: csv, options: {path: aside.csv, schema: {mode: fixed, fields: MORE}}}",
            ["id", "a", "_node", "_error"],
        ),
    ],
)
def test_a_fixed_schema_says_which_of_the_fields_are_written(tmp_path: Path, sink: str, fields: list[str]) -> None:
    words = sink.replace("FIELDS", '["id: int", "a: str"]')
    words = words.replace("MORE", '["id: int", "a: str", "_node: str?", "_error: str?"]')
    outcomes = go(tmp_path, TWO_STEPS, f"{OUT}  aside: {words}\n", "1,no\n2,3\n", on="discard")
    (row,) = read(next(tmp_path.glob("aside.*")))
    assert list(row) == fields
    assert row.get("_node", "number") == "number"
    assert outcomes == {"quarantined": 1, "completed": 1}


def test_a_reason_in_letters_that_the_encoding_lacks_does_not_cost_the_row(tmp_path: Path) -> None:
    (tmp_path / "strict.py").write_text(
        "from elspeth.plugins.contract import RowError, Transform\n"
        "class Strict(Transform):\n    name = 'strict'\n"
        "    def process(self, row, ctx):\n        raise RowError('nicht größer als \\udcff → 0')\n"
    )
    steps = "plugins: [./strict.py]\ntransforms: [{name: s, plugin: strict, on_error: aside}]\n"
    sinks = OUT + "  aside: {plugin: csv, options: {path: aside.csv, encoding: ascii}}\n"
    assert go(tmp_path, steps, sinks, "1,2\n", on="discard") == {"quarantined": 1}
    (row,) = read(tmp_path / "aside.csv")
    assert row["_error"] == r"nicht gr\xf6\xdfer als \udcff \u2192 0"


def test_a_run_that_began_without_these_fields_has_none(tmp_path: Path) -> None:
    folder = unpack("interrupted", tmp_path / "interrupted")
    (run,) = run_ids(folder)
    with sqlite3.connect(folder / "runs" / "audit.db") as database:
        ((stored,),) = database.execute("SELECT settings_json FROM runs").fetchall()
    sinks = load_stored(stored, {}, dotenv=False).settings.sinks
    assert sinks
    assert not any(sink.error_fields for sink in sinks.values())
    done = elspeth("resume", run, "--working-directory", ".", "--accept-changed-code", cwd=folder)
    assert done.returncode == 0, done.stderr
    refused = read(folder / "output" / "refused.jsonl")
    assert refused
    assert not any("_node" in row for row in refused)


def test_a_csv_that_was_begun_without_the_columns_keeps_its_header(tmp_path: Path) -> None:
    (tmp_path / "aside.csv").write_text("id,a\n0,old\n")
    sinks = OUT + "  aside: {plugin: csv, options: {path: aside.csv, mode: append}}\n"
    assert go(tmp_path, TWO_STEPS, sinks, "1,no\nx,3\n") == {"quarantined": 2}
    assert (tmp_path / "aside.csv").read_text() == "id,a\n0,old\n1,no\nx,3\n"
    (tmp_path / "aside.csv").write_text("id,a,_error,_node\n0,old,why,number\n")
    go(tmp_path, TWO_STEPS, sinks, "1,no\n")
    assert read(tmp_path / "aside.csv")[1]["_node"] == "number"
