"""What steps say of fields before a row comes is what they do when one does: which there are, in which order, of which
types. Whoever checks a pipeline, and whoever writes a header for no rows, relies on it."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.contract import BatchFacts, Context, Plugin, RowError
from elspeth.plugins.options import OptionProblems


def made(plugin: str, kind: str = "transform", **options: Any) -> Any:
    built: Plugin = registry.build(registry.find(kind, plugin), options, "step")
    built.setup(Context("run", "step"))
    return built


MAPPER = {"mapping": {"a": "x", "c.d": "y"}, "strict": False}
ROW = {"a": 1, "b": 2, "c": {"d": 3}}


def test_a_row_without_its_field_says_which_and_what_it_has_instead() -> None:
    strict = made("drop_fields", fields=["z"], strict=True)
    row = {f"f{number}": number for number in range(60)}
    with pytest.raises(RowError) as caught:
        strict.process(row, Context("run", "step"))
    assert caught.value.reason == "the row has no field 'z'"
    assert caught.value.details == {"field": "z", "fields": list(row)[:50]}


def test_fields_that_are_dropped_are_gone_and_asked_for_where_it_is_strict() -> None:
    for strict in (True, False):
        step = made("drop_fields", fields=["a", "b"], strict=strict)
        assert step.fields_in() == (frozenset("ab") if strict else frozenset())
        assert step.fields_wanted() == frozenset("ab")
        assert step.fields_out(frozenset("abc")) == frozenset("c")
        assert step.types_out({"a": "int", "c": "str"}) == {"c": "str"}
        row = {"c": 3}
        if not strict:
            assert step.process(row, Context("run", "step")) is row
    assert made("drop_fields", fields=["a"]).process({"a": 1, "c": 2}, Context("run", "step")) == {"c": 2}


@pytest.mark.parametrize(
    ("options", "out", "certain", "possible"),
    [
        (MAPPER, {"x": 1, "b": 2, "c": {"d": 3}, "y": 3}, {"x", "b", "c"}, {"x", "y", "b", "c"}),
        (MAPPER | {"strict": True}, {"x": 1, "b": 2, "c": {"d": 3}, "y": 3}, {"x", "y", "b", "c"},
         {"x", "y", "b", "c"}),
        (MAPPER | {"select_only": True}, {"x": 1, "y": 3}, {"x"}, {"x", "y"}),
        ({"mapping": {"a": "b"}}, {"b": 1, "c": {"d": 3}}, {"b", "c"}, {"b", "c"}),
        ({"mapping": {"a": "b", "b": "a"}}, {"b": 1, "a": 2, "c": {"d": 3}}, {"a", "b", "c"}, {"a", "b", "c"}),
        ({"mapping": {"z": "b"}}, {"a": 1, "b": 2, "c": {"d": 3}}, {"a", "b", "c"}, {"a", "b", "c"}),
    ],
)  # fmt: skip
def test_a_mapper_says_which_fields_there_will_be(
    options: dict[str, Any], out: dict[str, Any], certain: set[str], possible: set[str]
) -> None:
    step = made("field_mapper", **options)
    assert step.process(dict(ROW), Context("run", "step")) == out
    assert step.fields_out(frozenset(ROW)) == certain
    assert step.fields_possible(frozenset(ROW)) == possible
    assert certain <= set(out) <= possible


@pytest.mark.parametrize(
    ("options", "order", "there"),
    [
        ({"mapping": {"b": "x"}}, ("a", "b", "c"), ("a", "x", "c")),
        ({"mapping": {"b": "a"}}, ("a", "b", "c"), None),
        ({"mapping": {"c": "x", "a": "y"}, "select_only": True}, ("a", "b", "c"), ("x", "y")),
        ({"mapping": {"z": "x"}, "select_only": True}, ("a", "b"), ()),
        ({"mapping": {"c.d": "y"}}, ("a", "c"), None),
        ({"mapping": {"c.d": "y"}}, ("a", "c.d"), ("a", "y")),
        ({"mapping": {"c.d": "y"}}, ("a", "b"), ("a", "b")),
    ],
)
def test_a_renamed_field_keeps_its_place(options: dict[str, Any], order: tuple[str, ...], there: Any) -> None:
    assert made("field_mapper", **options).fields_order(order) == there


@pytest.mark.parametrize(
    ("options", "types"),
    [
        ({"mapping": {"a": "x"}}, {"x": "int", "b": "str"}), ({"mapping": {"a": "b"}}, {"b": "int"}),
        ({"mapping": {"a": "x"}, "select_only": True}, {"x": "int"}),
        ({"mapping": {"z": "b"}}, {"a": "int"}), ({"mapping": {"z": "y"}}, {"a": "int", "b": "str"}),
    ],
)  # fmt: skip
def test_types_follow_the_names(options: dict[str, Any], types: dict[str, str]) -> None:
    assert made("field_mapper", **options).types_out({"a": "int", "b": "str"}) == types


LINES: list[dict[str, Any]] = [{"t": "a & b", "n": 1}, {"t": "c"}]


@pytest.mark.parametrize(
    ("form", "title", "text"),
    [
        ("plain_text", None, "a & b\nc"), ("plain_text", "T", "T\n\na & b\nc"), ("markdown", "T", "# T\n\na & b\nc"),
        ("markdown", None, "a & b\nc"), ("html_fragment", "T<", "<h1>T&lt;</h1>\n<p>a &amp; b</p>\n<p>c</p>"),
        ("html_fragment", None, "<p>a &amp; b</p>\n<p>c</p>"),
    ],
)  # fmt: skip
def test_a_report_has_a_heading_where_it_has_a_title(form: str, title: str | None, text: str) -> None:
    options = {"text_field": "t", "format": form} | ({"title": title} if title else {})
    step = registry.build(registry.find("aggregation", "report_assemble"), options, "step")
    [report] = step.process([dict(row) for row in LINES], Context("run", "step"))  # type: ignore[attr-defined]
    found = report if isinstance(report, dict) else report.row
    assert found["report_body"] == text
    assert set(found) == step.fields_out(frozenset("t"))  # type: ignore[attr-defined]
    assert step.fields_in() == frozenset("t")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("row", "says"),
    [({"n": 1}, "has no field 't'"), ({"t": None}, "is no text but null"), ({"t": 3}, "is no text but int")],
)
def test_a_line_of_a_report_that_is_no_text_is_told(row: dict[str, Any], says: str) -> None:
    step: Any = registry.build(registry.find("aggregation", "report_assemble"), {"text_field": "t"}, "step")
    with pytest.raises(RowError, match=says) as caught:
        step.process([{"t": "x"}, row], Context("run", "step"))
    assert "row 1 of the batch (from 0)" in caught.value.reason
    assert caught.value.details == {"field": "t", "index": 1}


@pytest.mark.parametrize(
    ("plugin", "options"),
    [
        ("passthrough", {}), ("filter", {"condition": "row['a'] > 1"}),
        ("deduplicate", {"keys": ["a"]}),
    ],
)  # fmt: skip
def test_steps_that_change_no_field_say_so(plugin: str, options: dict[str, Any]) -> None:
    step = made(plugin, **options)
    fields, types = frozenset("abc"), {"a": "str", "b": "int"}
    assert step.fields_out(fields) == fields
    assert step.types_out(types) == types


@pytest.mark.parametrize("trigger", ["count", "end_of_source"])
def test_a_report_says_which_lines_of_all_it_has(trigger: str) -> None:
    step: Any = registry.build(registry.find("aggregation", "report_assemble"), {"text_field": "t"}, "step")
    context = Context("run", "step", batch=BatchFacts(3, 7, trigger))
    [report] = step.process([dict(row) for row in LINES], context)
    assert report == {
        "report_body": "a & b\nc", "report_format": "plain_text", "report_index": 3, "line_start": 8, "line_end": 9,
        "line_count": 2, "lines_seen_total": 9, "flush_trigger": trigger,
        "is_end_of_source_report": trigger == "end_of_source",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"output_field": "line_count"}, "a report has a field of this name"),
        ({"footer": "x"}, "stands on pages only"),
        ({"lines_per_page": 3, "format": "markdown"}, "format: has no meaning with lines_per_page"),
        ({"lines_per_page": 3, "join_with": ";"}, "join_with: has no meaning with lines_per_page"),
        ({"lines_per_page": 0}, "1"),
    ],
)  # fmt: skip
def test_a_report_of_options_that_contradict_each_other_is_refused(options: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionProblems) as caught:
        registry.build(registry.find("aggregation", "report_assemble"), {"text_field": "t", **options}, "step")
    assert says in " ".join(caught.value.details)


def test_what_statistics_may_have_holds_what_they_have() -> None:
    step: Any = registry.build(registry.find("aggregation", "batch_stats"), {"value_field": "n"}, "step")
    certain, possible = step.fields_out(frozenset("n")), step.fields_possible(frozenset("n"))
    assert certain < possible
