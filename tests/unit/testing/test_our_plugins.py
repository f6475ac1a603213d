"""Every plugin that comes with Elspeth keeps its contract, as the kit for authors understands it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.testing import check_aggregation, check_sink, check_source, check_transform
from tests.unit.statistics.batches import EXAMPLES as STATISTICS

INPUTS: dict[tuple[str, str], tuple[bytes, dict[str, Any]]] = {
    ("csv", "plain"): (b"id,name\n1,Ada\n2,Grace\n3,Alan\n", {}),
    ("csv", "hard"): (
        b'\xef\xbb\xbfa note\n"id","full name"\r\n1,"two\r\nlines"\r\n\r\n2\r\n'
        b'3,"q""uote"\r\n4,\xff\r\n5,x,y\r\n6,"last"',
        {"skip_rows": 1},
    ),
    ("json", "array"): (b' [ {"a": 1}, {"a": "]"},\n 5, {"b": [1, {"c": null}]} ] ', {}),
    ("json", "key"): (b'{"x": {"items": [{"a": 1}, {"a": 2}]}, "y": 1}', {"data_key": "x.items"}),
    ("json", "lines"): (b'{"a": 1}\nnot json\n\n{"a": "\xc3\xa9"}\n{"a": 3}', {"format": "jsonl"}),
    ("json", "cut"): (b'[{"a": 1}, {"a": 2}, {"a":', {}),
    ("text", "lines"): (
        "one\n\ntwo é\r\n  three  \nlast".encode(),
        {"skip_blank_lines": True, "strip_whitespace": True},
    ),
}


@pytest.mark.parametrize(("name", "case"), INPUTS)
def test_a_source_keeps_its_contract(name: str, case: str, tmp_path: Path) -> None:
    data, options = INPUTS[name, case]
    path = tmp_path / "input"
    path.write_bytes(data)
    check_source(build("source", name, {"path": str(path), **options}))


def test_the_null_source_keeps_its_contract() -> None:
    check_source(build("source", "null", {}), may_be_empty=True)


CUSTOMERS = Path(__file__).with_name("customers.csv")
TRANSFORMS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("passthrough", {}, [{"a": 1}, {"a": [1, {"b": 2}]}]),
    ("field_mapper", {"mapping": {"a.b": "c", "d": "e"}, "strict": True}, [{"a": {"b": 1}, "d": 2}, {"a": 1}]),
    ("field_mapper", {"mapping": {"a": "b"}, "select_only": True}, [{"a": 1, "x": 2}, {"x": 1}]),
    (
        "value_transform",
        {"operations": [{"target": "t", "expression": "row['a'] * 2"}, {"target": "u", "expression": "row['t'] + 1"}]},
        [{"a": 1}, {"a": "x"}, {"b": 1}, {"a": 2, "t": 0}],
    ),
    ("type_coerce", {"conversions": [{"field": "a", "to": "int"}]}, [{"a": "12"}, {"a": "x"}, {}, {"a": 1.0}]),
    ("truncate", {"fields": {"a": 4}, "suffix": ".", "strict": True}, [{"a": "longer"}, {"a": "s"}, {"a": 1}, {}]),
    ("keyword_filter", {"fields": ["a"], "blocked_patterns": ["bad"]}, [{"a": "good"}, {"a": "bad"}, {"b": 1}]),
    ("filter", {"condition": "row['a'] > 1"}, [{"a": 2}, {"a": 1}, {"a": "x"}, {}]),
    ("filter", {"condition": "row['a']"}, [{"a": True}, {"a": False}, {"a": 1}]),
    ("drop_fields", {"fields": ["a"]}, [{"a": 2, "b": 1}, {"b": 1}, {}]),
    ("drop_fields", {"fields": ["a"], "strict": True}, [{"a": 2, "b": 1}, {"b": 1}]),
    ("lookup", {"path": str(CUSTOMERS), "keys": {"c": "id"}, "fields": {"name": "n"}}, [{"c": 1}, {"c": 3}, {}]),
    ("deduplicate", {"keys": ["a", "b"]}, [{"a": 2, "b": 1}, {"a": None, "b": 1}, {"b": 1}, {}]),
    ("json_explode", {"array_field": "a"}, [{"a": [1, [2], {"x": 3}], "k": 1}, {"a": []}, {"a": "no list"}, {}]),
    ("line_explode", {"source_field": "a"}, [{"a": "one\ntwo"}, {"a": ""}, {"a": 1}, {"k": 1}]),
]


@pytest.mark.parametrize(("name", "options", "rows"), TRANSFORMS)
def test_a_transform_keeps_its_contract(name: str, options: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    check_transform(build("transform", name, options), rows)


AGGREGATIONS: list[tuple[str, dict[str, Any], list[dict[str, Any]]]] = [
    ("batch_stats", {"value_field": "v"}, [{"v": 1}, {"v": 2.5}, {"v": None}]),
    (
        "batch_stats",
        {"value_field": "v", "group_by": "g"},
        [{"v": 1, "g": "b"}, {"v": 2, "g": "a"}, {"v": 3, "g": "b"}],
    ),
    ("batch_stats", {"value_field": "v"}, [{"v": 1}, {"v": "x"}]),
    ("batch_stats", {"group_by": ["g", "h"]}, [{"g": 1, "h": 2}, {"g": 1, "h": 3}, {"g": 1, "h": 2}, {"g": 1}]),
    (
        "batch_stats",
        {"fields": {"v": ["min", "median", "stdev", "distinct", "first", "last"]}, "group_by": "g"},
        [{"v": 1, "g": 0}, {"v": None, "g": 0}, {"v": 2.5, "g": 1}, {"v": "x", "g": 1}],
    ),
    (
        "sort",
        {"by": ["a", {"field": "b", "descending": True}]},
        [{"a": 2, "b": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2}],
    ),
    ("sort", {"by": "a"}, [{"a": 1}, {"a": "x"}, {"b": 1}]),
    ("limit", {"count": 1, "offset": 1, "group_by": ["a"]}, [{"a": 1}, {"a": 1}, {"a": 2}, {"b": 1}]),
    ("batch_replicate", {}, [{"copies": 2, "a": [1]}, {"a": 2}, {"copies": 0}]),
    ("report_assemble", {"text_field": "t", "lines_per_page": 2}, [{"t": "a"}, {"t": "b"}, {"t": "c"}]),
    ("report_assemble", {"text_field": "t", "title": "T"}, [{"t": "a"}, {"t": "b"}, {"t": None}, {"t": "c"}, {}]),
    *((f"batch_{name}", options, rows) for name, (options, rows) in STATISTICS.items()),
]


@pytest.mark.parametrize(("name", "options", "rows"), AGGREGATIONS)
def test_an_aggregation_keeps_its_contract(name: str, options: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    check_aggregation(build("aggregation", name, options), rows)


TABLE = [{"a": 1, "b": "x"}, {"a": None, "b": 'q"\r\n'}, {"a": 2}, {"a": [1], "b": True}, {"a": float("nan"), "b": ""}]
LINES = [{"t": "one"}, {"t": ""}, {"t": "two\nlines"}, {"u": "é"}]
SINKS: list[tuple[str, dict[str, Any], list[dict[str, Any]], bytes | None]] = [
    ("csv", {}, TABLE, None),
    ("csv", {}, TABLE, b"the output of an earlier run"),
    ("csv", {"collision_policy": "auto_increment"}, TABLE, b"the output of an earlier run"),
    ("csv", {"mode": "append"}, TABLE, b"b,a\nx,1"),
    ("csv", {"encoding": "utf-16", "delimiter": "tab", "line_terminator": "\r\n"}, TABLE, None),
    ("csv", {"schema": {"mode": "fixed", "fields": ["a: any", "b: any?"]}}, TABLE, None),
    ("json", {}, TABLE, None),
    ("json", {"indent": 2}, TABLE, None),
    ("json", {"format": "jsonl", "mode": "append"}, TABLE, b'{"before":1}'),
    ("text", {}, LINES, None),
    ("text", {"mode": "append", "column": "t"}, LINES, b"before"),
]


@pytest.mark.parametrize(("name", "options", "rows", "there"), SINKS)
def test_a_sink_keeps_its_contract(name: str, options, rows, there: bytes | None, tmp_path: Path) -> None:
    if there is not None:
        (tmp_path / "out").write_bytes(there)
    check_sink(build("sink", name, {"path": str(tmp_path / "out"), **options}), rows)


def test_the_null_sink_keeps_its_contract() -> None:
    check_sink(build("sink", "null", {}), TABLE)


def test_no_plugin_of_ours_is_left_out() -> None:
    checked = {("source", name) for name, _ in INPUTS} | {("source", "null"), ("sink", "null")}
    checked |= {("transform", name) for name, _, _ in TRANSFORMS}
    checked |= {("aggregation", name) for name, _, _ in AGGREGATIONS}
    checked |= {("sink", name) for name, _, _, _ in SINKS}
    checked |= {("transform", "llm"), ("transform", "http")}  # beside a service that answers, in tests/unit/services
    assert checked == set(registry.BUILT_IN)


def build(kind: registry.Kind, name: str, options: dict[str, Any]) -> Any:
    return registry.build(registry.find(kind, name), options, f"the test's {kind}")
