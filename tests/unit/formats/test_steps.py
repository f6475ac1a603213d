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
        with pytest.raises(RowError, match="no_finite_values") as caught:
            batch("batch_stats", rows, value_field="v", group_by="g")
        assert caught.value.details["cause"] == "field 'v' holds no number in the group 2"
        assert [each["row_index"] for each in caught.value.details["row_errors"]] == [*range(1, len(rows))]
        with pytest.raises(RowError, match="no_finite_values") as caught:
            batch("batch_stats", rows[1:], value_field="v")
        assert caught.value.details["cause"] == "field 'v' holds no number"

    def test_sums_of_whole_numbers_stay_whole(self) -> None:
        (row,) = batch("batch_stats", [{"v": 2**60}, {"v": 1}, {"v": None}], value_field="v", compute_mean=False)
        assert (row["sum"], type(row["sum"])) == (2**60 + 1, int)

    @pytest.mark.parametrize("name", ["skipped_missing", "skipped_non_finite_indices", "batch_size"])
    def test_a_group_cannot_have_the_name_of_a_result(self, name: str) -> None:
        with pytest.raises(OptionProblems, match="cannot be used"):
            step("aggregation", "batch_stats", value_field="v", group_by=name)


REFUSED_BATCH = """
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: fixed, fields: ["id: int", "v: float?"]}}
  on_validation_failure: discard
aggregations:
  - {name: a, plugin: %s, options: {value_field: v}, trigger: {count: 2}, output_mode: transform, on_error: bad}
sinks:
  out: {plugin: json, options: {path: out.json}}
  bad: {plugin: json, options: {path: bad.json}}
default_sink: out
"""


@pytest.mark.parametrize("plugin", ["batch_stats", "batch_distribution_profile"])
def test_a_batch_error_sends_all_rows_of_its_batch_to_on_error_and_no_other(plugin: str, folder: Path) -> None:
    Path("in.csv").write_text("id,v\n1,1\n2,\n3,\n4,\n5,2\n")
    run(REFUSED_BATCH % plugin)
    out, bad = (json.loads(Path(name).read_text()) for name in ("out.json", "bad.json"))
    assert [(row["count"], row["batch_size"]) for row in out] == [(1, 2), (1, 1)]
    assert [(row["id"], row["_error"]) for row in bad] == [(3, "no_finite_values"), (4, "no_finite_values")]
    story = elspeth("explain", "--row", "3", "--json", cwd=folder).stdout
    assert all(word in story for word in ("row_errors", "row_index", "missing_value", "holds no"))


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


REPORT = """
source:
  plugin: csv
  options: {path: in.csv, schema: {mode: fixed, fields: ["id: int", "t: str?"]}}
  on_validation_failure: discard
transforms: [{plugin: value_transform, options: {operations: [{target: t, expression: "row['t'] or None"}]}}]
aggregations:
  - {name: a, plugin: report_assemble, options: {text_field: t}, trigger: %s, on_error: bad}
sinks:
  out: {plugin: json, options: {path: out.json}}
  bad: {plugin: json, options: {path: bad.json}}
default_sink: out
"""
REPORT_FACTS = ["report_format", "report_index", "line_start", "line_end", "line_count", "lines_seen_total",
                "flush_trigger", "is_end_of_source_report"]  # fmt: skip


class TestReportAssemble:
    def body(self, *lines: object, **options: Any) -> Any:
        return batch("report_assemble", [{"t": line} for line in lines], text_field="t", **options)[0]["report_body"]

    def reports(self, rows: str, trigger: str) -> tuple[list[Any], list[int]]:
        Path("in.csv").write_text("id,t\n" + rows)
        run(REPORT % trigger)
        out, bad = (json.loads(Path(name).read_text()) for name in ("out.json", "bad.json"))
        return out, [row["id"] for row in bad]

    def test_one_row_per_batch_with_the_body_and_these_fields(self, folder: Path) -> None:
        reports, _ = self.reports("1,a\n2,b\n3,c\n4,d\n5,e\n", "{count: 2}")
        assert [list(report) for report in reports] == [["report_body", *REPORT_FACTS]] * 3
        assert [list(report.values()) for report in reports] == [
            ["a\nb", "plain_text", 1, 1, 2, 2, 2, "count", False],
            ["c\nd", "plain_text", 2, 3, 4, 2, 4, "count", False],
            ["e", "plain_text", 3, 5, 5, 1, 5, "end_of_source", True],
        ]

    def test_the_last_batch_is_end_of_source_unless_it_filled_exactly(self, folder: Path) -> None:
        reports, _ = self.reports("1,a\n2,b\n3,c\n4,d\n", "{count: 2}")
        assert [(report["flush_trigger"], report["is_end_of_source_report"]) for report in reports] == [
            ("count", False)
        ] * 2

    def test_flush_trigger_may_be_a_condition(self, folder: Path) -> None:
        reports, _ = self.reports("1,a\n2,b\n3,c\n", "{condition: \"row['id'] == 2\"}")
        assert [report["flush_trigger"] for report in reports] == ["condition", "end_of_source"]

    def test_text_that_is_none_fails_the_batch_which_is_counted_like_the_others(self, folder: Path) -> None:
        reports, bad = self.reports("1,a\n2,b\n3,\n4,d\n5,e\n", "{count: 2}")
        assert bad == [3, 4]
        assert [(report["report_index"], report["line_start"], report["line_end"]) for report in reports] == [
            (1, 1, 2),
            (3, 5, 5),
        ]

    @pytest.mark.parametrize(("value", "kind"), [(None, "null"), (5, "int"), (["x"], "list"), (True, "bool")])
    def test_what_is_no_text_fails_the_batch(self, value: object, kind: str) -> None:
        with pytest.raises(RowError, match=f"field 't' of row 1 of the batch \\(from 0\\) is no text but {kind}"):
            self.body("x", value)

    def test_plain_is_the_lines_joined_with_a_title_first_the_title_and_an_empty_line(self) -> None:
        assert self.body("a", "", "b") == "a\n\nb"
        assert self.body("a", "b", title="T", join_with=" | ") == "T\n\na | b"

    def test_markdown_has_the_title_as_a_heading(self) -> None:
        assert self.body("a", "b", title="T", format="markdown") == "# T\n\na\nb"
        assert self.body("a", "b", format="markdown") == "a\nb"

    def test_html_fragment_escapes_lines_title_and_what_stands_between(self) -> None:
        assert (
            self.body("a<b", '"c"', title="T & U", format="html_fragment", join_with="<br>\n")
            == "<h1>T &amp; U</h1>&lt;br&gt;\n<p>a&lt;b</p>&lt;br&gt;\n<p>&quot;c&quot;</p>"
        )
        assert self.body("a", "b", format="html_fragment") == "<p>a</p>\n<p>b</p>"

    def test_output_field_names_the_body(self) -> None:
        (report,) = batch("report_assemble", [{"t": "x"}], text_field="t", output_field="letter")
        assert (report["letter"], "report_body" in report) == ("x", False)

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({}, "text_field: missing"),
            ({"text_field": "t", "output_field": "line_count"}, "output_field: 'line_count' cannot be used"),
            ({"text_field": "t", "format": "pdf"}, "format: "),
            ({"text_field": "t", "footer": "-"}, "footer: stands on pages only"),
            ({"text_field": "t", "lines_per_page": 3, "join_with": "-"}, "join_with: has no meaning"),
        ],
    )
    def test_options_that_do_not_fit_are_refused(self, options: dict[str, Any], words: str) -> None:
        with pytest.raises(OptionProblems) as caught:
            step("aggregation", "report_assemble", **options)
        assert words in str(caught.value.problems[0])

    def test_a_run_that_was_started_before_goes_on_with_pages(self) -> None:
        stored = {"aggregations": [{"name": "a", "plugin": "report_assemble", "options": {"title": "T"}}]}
        options = effective.as_stored(stored)["aggregations"][0]["options"]
        (page,) = step("aggregation", "report_assemble", **options).process([{"line": "x"}], CTX)
        assert page == {"page": 1, "pages": 1, "line_count": 1, "text": "T\n\nx"}
