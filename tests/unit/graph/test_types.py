"""Types of fields are followed from sources through steps, and what they make impossible is a problem."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import ElspethError
from elspeth.graph.types import merged
from elspeth.runs.lifecycle.pipeline import config_of, load_pipeline
from elspeth.testing.in_process import run_in_process

HEAD = """\
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: free, fields: ["price: decimal", "day: date", "n: int", "note: str?"]}}
transforms:
"""
TAIL = """\
sinks: {out: {plugin: json, options: {path: out.jsonl}}}
default_sink: out
"""


def pipeline(folder: Path, steps: str, tail: str = TAIL) -> Path:
    path = folder / "pipeline.yaml"
    path.write_text(HEAD + steps + tail)
    (folder / "in.csv").write_text("price,day,n,note\n12.50,2024-03-01,3,a\n9,2024-02-29,4,b\n0.10,2024-03-02,5,\n")
    return path


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def types(folder: Path, steps: str, node: str, tail: str = TAIL) -> dict[str, str]:
    return load_pipeline(pipeline(folder, steps, tail)).graph.node(node).types


MAPPED = """\
  - {name: names, plugin: field_mapper, options: {mapping: {price: amount, note: text}}}
  - {name: sums, plugin: value_transform, options: {operations: [
      {target: double, expression: "row['amount'] * 2"}, {target: n, expression: "row['double'] > 20"},
      {target: day, expression: "row['text']"}]}}
"""


def test_they_follow_names_and_computed_fields(tmp_path: Path) -> None:
    steps = MAPPED + "  - {name: last, plugin: filter, options: {condition: \"row['double'] > 10\"}}\n"
    assert types(tmp_path, steps, "names") == {"price": "decimal", "day": "date", "n": "int", "note": "str"}
    assert types(tmp_path, steps, "sums") == {"amount": "decimal", "text": "str", "day": "date", "n": "int"}
    last = types(tmp_path, steps, "last")
    assert last == {"amount": "decimal", "text": "str", "double": "decimal", "n": "bool", "day": "str"}


def test_rows_are_computed_with_them(tmp_path: Path) -> None:
    steps = MAPPED + "  - {name: last, plugin: filter, options: {condition: \"row['double'] > 10\"}}\n"
    found = run_in_process(pipeline(tmp_path, steps)).rows["out"]
    assert [(row["amount"], row["double"], row["n"]) for row in found] == [("12.50", "25.00", True), ("9", "18", False)]


def test_a_gate_and_a_trigger_know_them(tmp_path: Path) -> None:
    steps = """\
  - {plugin: passthrough}
gates:
  - {name: dear, condition: "row['price'] > 9", routes: {"true": continue, "false": cheap}}
aggregations:
  - {name: sorted, plugin: limit, trigger: {condition: "row['day'] > date('2024-03-01')"}, output_mode: transform,
     options: {count: 5}}
"""
    tail = TAIL.replace("sinks: {", "sinks: {cheap: {plugin: json, options: {path: cheap.jsonl}}, ")
    found = run_in_process(pipeline(tmp_path, steps, tail)).rows
    assert [row["price"] for row in found["out"]] == ["12.50"]
    assert [row["price"] for row in found["cheap"]] == ["9", "0.10"]


def test_they_are_known_behind_a_gate_and_a_fork(tmp_path: Path) -> None:
    steps = """\
gates:
  - {name: both, condition: "True", routes: {"true": fork}, fork_to: [left, out]}
"""
    tail = """\
aggregations:
  - {name: sums, plugin: batch_stats, input: left, on_success: stats, options: {value_field: price, group_by: day}}
sinks: {out: {plugin: json, options: {path: out.jsonl}}, stats: {plugin: json, options: {path: stats.jsonl}}}
"""
    head = HEAD.replace("transforms:\n", "")
    path = tmp_path / "forked.yaml"
    pipeline(tmp_path, "")
    path.write_text(head + steps + tail)
    assert load_pipeline(path).graph.node("sums").types == {
        "price": "decimal",
        "day": "date",
        "n": "int",
        "note": "str",
    }
    assert [row["sum"] for row in run_in_process(path).rows["stats"]] == ["12.50", "9", "0.10"]


def test_the_record_of_a_node_is_what_it_was(tmp_path: Path) -> None:
    graph = load_pipeline(pipeline(tmp_path, MAPPED)).graph
    assert "types" not in config_of(graph.node("sums"))


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("""  - {plugin: filter, options: {condition: "row['price'] > 0.5"}}\n""", "which is not exact"),
        ("""  - {plugin: filter, options: {condition: "contains(lower(row['n']), 'x')"}}\n""",
         "lower of a value that is int: it takes a text (str(x) gives the text of a int) (column 16"),
        ("""  - {plugin: value_transform, options: {operations: [{target: x, expression: "row['price'] + 1"}, """
         """{target: y, expression: "upper(row['x'])"}]}}\n""", "upper of a value that is decimal"),
        ("""  - {plugin: passthrough}\ngates:\n  - {name: g, condition: "row['day'] == '2024-03-01'", routes: """
         """{"true": continue, "false": discard}}\n""", "(date(x) makes one of a text)"),
    ],
)  # fmt: skip
def test_an_expression_that_no_row_can_pass_is_a_problem_before_the_run(tmp_path: Path, steps: str, words: str) -> None:
    with pytest.raises(ElspethError) as caught:
        load_pipeline(pipeline(tmp_path, steps))
    assert words in str(caught.value.details) + str(caught.value)


def test_a_schema_of_the_step_says_what_nobody_else_knows(tmp_path: Path) -> None:
    steps = """\
  - {name: keep, plugin: filter, options: {condition: "row['note'] > decimal('1')",
     schema: {mode: free, fields: ["note: decimal?"]}}}
"""
    assert types(tmp_path, steps, "keep")["note"] == "decimal"


@pytest.mark.parametrize(
    ("ways", "expected"),
    [
        ([{"a": "int", "b": "decimal"}, {"a": "int", "b": "decimal"}], {"a": "int", "b": "decimal"}),
        ([{"a": "int"}, {}], {}),
        ([{"a": "int"}, {"a": "float"}], {}),
        ([{"a": "decimal"}, {}], {"a": "decimal"}),
        ([{"a": "decimal"}, {"a": "int"}], {"a": "decimal"}),
        ([{"a": "decimal"}, {"a": "date"}], {"a": "mixed"}),
        ([{"a": "mixed"}, {"a": "date"}], {"a": "mixed"}),
        ([], {}),
    ],
)
def test_where_ways_meet_a_type_is_what_all_can_be_read_as(ways: list[dict[str, str]], expected: Any) -> None:
    assert merged(ways) == expected
