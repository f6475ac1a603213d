"""Steps as files of this format know them: their options, their fields, and what they refuse."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.contract import Context, Made, RowError, Unfit
from elspeth.plugins.options import OptionProblems
from elspeth.settings import effective
from tests.kit.processes.running import elspeth
from tests.unit.formats.conftest import problems, read, run

CTX = Context(run_id="mf3k2a9x", node_id="step")
LINE = """
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: fixed, fields: ["id: int", "x: float"]}}
  on_validation_failure: discard
%s
sinks: {out: {plugin: json, options: {path: out.json}}}
default_sink: out
"""


def step(kind: Any, plugin: str, **options: Any) -> Any:
    return registry.build(registry.find(kind, plugin), options, "a step")


def batch(plugin: str, rows: list[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    made = step("aggregation", plugin, **options).process(rows, CTX)
    return [result.row if isinstance(result, Made) else result for result in made]


STEPS = {
    "transform inside": "transforms: [{plugin: passthrough, options: {required_input_fields: [%s]}}]",
    "transform beside": "transforms: [{plugin: truncate, required_input_fields: [%s], options: {fields: {id: 3}}}]",
    "aggregation": "aggregations: [{name: a, plugin: batch_stats, options: {value_field: x,"
    " required_input_fields: [%s]}}]",
    "a statistic": "aggregations: [{name: a, plugin: batch_top_k, options: {field: x, required_input_fields: [%s]}}]",
    "required_fields": "transforms: [{plugin: passthrough, required_fields: [%s]}]",
}  # fmt: skip


@pytest.mark.parametrize("where", STEPS)
def test_required_input_fields_is_the_same_as_required_fields(where: str, folder: Path) -> None:
    read(LINE % (STEPS[where] % "id, x"))
    assert "no_such" in str(problems(LINE % (STEPS[where] % "id, no_such"))[0])


def test_the_form_of_required_input_fields_is_checked(folder: Path) -> None:
    (problem,) = problems(LINE % "transforms: [{plugin: passthrough, options: {required_input_fields: id}}]")
    assert problem.message == "found 'id', allowed is a list of field names"
    read(LINE % "transforms: [{plugin: passthrough, options: {required_input_fields: null}}]")


def test_a_step_with_required_input_fields_runs(folder: Path) -> None:
    Path("in.csv").write_text("id,x\n1,2\n")
    run(LINE % "transforms: [{plugin: passthrough, options: {required_input_fields: [id]}}]")
    assert json.loads(Path("out.json").read_text()) == [{"id": 1, "x": 2.0}]


def test_a_sink_has_no_such_option(folder: Path) -> None:
    text = (LINE % "").replace("path: out.json", "path: out.json, required_input_fields: [id]")
    assert "unknown option" in problems(text)[0].message


@pytest.mark.parametrize(("to", "text", "value"), [("bool", "", False), ("bool", "  ", False), ("float", ".5", 0.5)])
def test_type_coerce_makes_nothing_false_and_reads_a_number_without_a_digit_in_front(
    to: str, text: str, value: object
) -> None:
    made = step("transform", "type_coerce", conversions=[{"field": "a", "to": to}]).process({"a": text}, CTX)
    assert repr(made["a"]) == repr(value)


def test_json_explode_numbers_the_items_in_item_index() -> None:
    made = step("transform", "json_explode", array_field="l").process({"id": 1, "l": ["a", "b"]}, CTX)
    assert made == [{"id": 1, "item": "a", "item_index": 0}, {"id": 1, "item": "b", "item_index": 1}]


def test_keyword_filter_must_be_told_its_fields() -> None:
    with pytest.raises(OptionProblems) as caught:
        step("transform", "keyword_filter", blocked_patterns=["x"])
    assert [str(problem) for problem in caught.value.problems] == ["fields: missing; it must be given"]
    step("transform", "keyword_filter", fields="all", blocked_patterns=["x"])


def test_line_explode_takes_10000_lines_and_refuses_one_more() -> None:
    explode = step("transform", "line_explode", source_field="t")
    assert len(explode.process({"t": "a\n" * 10_000}, CTX)) == 10_000
    with pytest.raises(RowError, match="field 't' has 10001 lines; up to 10000 are allowed"):
        explode.process({"t": "a\n" * 10_001}, CTX)
    assert len(step("transform", "line_explode", source_field="t", max_lines=2).process({"t": "a\nb"}, CTX)) == 2


def test_a_run_that_was_started_before_max_lines_takes_any_number() -> None:
    stored = {"transforms": [{"plugin": "line_explode", "options": {"source_field": "t"}}]}
    options = effective.as_stored(stored)["transforms"][0]["options"]
    assert options["max_lines"] is None
    assert len(step("transform", "line_explode", **options).process({"t": "a\n" * 10_001}, CTX)) == 10_001


class TestBatchStats:
    ROWS = (
        {"g": "a", "v": 1}, {"g": "b", "v": None}, {"g": "a", "v": math.nan}, {"g": "b", "v": 2.5},
        {"g": "a", "v": None}, {"g": "a", "v": 2}, {"g": "b", "v": -math.inf},
    )  # fmt: skip

    def test_with_group_by_batch_size_is_the_group_s(self) -> None:
        assert [row["batch_size"] for row in batch("batch_stats", [*self.ROWS], value_field="v", group_by="g")] == [
            4,
            3,
        ]
        assert [row["batch_size"] for row in batch("batch_stats", [*self.ROWS], value_field="v")] == [7]

    def test_missing_and_non_finite_values_are_counted_with_their_places_in_the_batch(self) -> None:
        one, other = batch("batch_stats", [*self.ROWS], value_field="v", group_by="g")
        assert one == {
            "count": 2, "sum": 3, "batch_size": 4, "mean": 1.5, "g": "a", "skipped_missing": 1,
            "skipped_missing_indices": [4], "skipped_non_finite": 1, "skipped_non_finite_indices": [2],
        }  # fmt: skip
        assert (other["skipped_missing_indices"], other["skipped_non_finite_indices"]) == ([1], [6])

    def test_where_nothing_was_skipped_nothing_is_said_of_it(self) -> None:
        assert batch("batch_stats", [{"v": 1}], value_field="v") == [
            {"count": 1, "sum": 1, "batch_size": 1, "mean": 1.0}
        ]

    @pytest.mark.parametrize("values", [[None], [None, math.inf], [math.nan]])
    def test_without_a_value_left_the_batch_is_an_error(self, values: list[Any]) -> None:
        rows = [{"g": 1, "v": 1}, *({"g": 2, "v": value} for value in values)]
        with pytest.raises(RowError, match="field 'v' holds no number in the group 2"):
            batch("batch_stats", rows, value_field="v", group_by="g")
        with pytest.raises(RowError, match=r"field 'v' holds no number$"):
            batch("batch_stats", rows[1:], value_field="v")

    def test_sums_of_whole_numbers_stay_whole(self) -> None:
        (row,) = batch("batch_stats", [{"v": 2**60}, {"v": 1}, {"v": None}], value_field="v", compute_mean=False)
        assert (row["sum"], type(row["sum"])) == (2**60 + 1, int)

    @pytest.mark.parametrize("name", ["skipped_missing", "skipped_non_finite_indices", "batch_size"])
    def test_a_group_cannot_have_the_name_of_a_result(self, name: str) -> None:
        with pytest.raises(OptionProblems, match="cannot be used"):
            step("aggregation", "batch_stats", value_field="v", group_by=name)


COPIES = """
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: fixed, fields: ["id: int", "n: int?"]}}
  on_validation_failure: discard
aggregations:
  - {name: a, plugin: batch_replicate, options: {copies_field: n%s}, trigger: {count: 4}, on_error: bad%s}
sinks:
  out: {plugin: json, options: {path: out.json}}
  bad: {plugin: json, options: {path: bad.json}}
default_sink: out
"""


class TestBatchReplicate:
    def copies(self, rows: str, options: str = "", more: str = "", code: int = 0) -> tuple[list[Any], list[Any]]:
        Path("in.csv").write_text("id,n\n" + rows)
        run(COPIES % (options, more), code=code)
        out, bad = (json.loads(Path(name).read_text()) for name in ("out.json", "bad.json"))
        return [(row["id"], row.get("copy_index")) for row in out], [row["id"] for row in bad]

    def test_a_row_whose_count_is_out_of_range_goes_to_on_error_alone_and_the_others_are_copied(
        self, folder: Path
    ) -> None:
        out, bad = self.copies("1,2\n2,0\n3,-1\n4,1\n5,10001\n6,1\n7,\n")
        assert (out, bad) == ([(1, 0), (1, 1), (4, 0), (6, 0)], [2, 3, 5, 7])

    def test_the_most_copies_are_10000(self, folder: Path) -> None:
        out, bad = self.copies("1,10000\n")
        assert (len(out), bad) == (10_000, [])

    def test_rows_that_are_passed_on_are_those_that_are_left(self, folder: Path) -> None:
        more = ", output_mode: passthrough"
        assert self.copies("1,1\n2,0\n3,1\n", ", include_copy_index: false", more) == ([(1, None), (3, None)], [2])

    def test_a_batch_of_which_nothing_is_left_makes_no_row(self, folder: Path) -> None:
        assert self.copies("1,0\n2,0\n", code=10) == ([], [1, 2])

    def test_the_evidence_of_such_a_run_holds(self, folder: Path) -> None:
        self.copies("1,2\n2,0\n3,1\n4,1\n5,0\n")
        done = elspeth("verify", "latest", "--json", cwd=folder)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["findings"] == []
        story = json.loads(elspeth("explain", "--row", "1", "--json", cwd=folder).stdout)
        assert "allowed are whole numbers from 1 to 10000" in json.dumps(story)

    def test_default_copies_counts_only_where_the_field_is_missing(self) -> None:
        made = step("aggregation", "batch_replicate", default_copies=2).process([{"id": 1}, {"copies": None}], CTX)
        assert [type(each) for each in made] == [Made, Made, Unfit]
