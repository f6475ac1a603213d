"""The json, text and null sinks: what stands in the file, and which rows are refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.plugins.contract import ERROR_FIELDS, PluginOptions
from elspeth.plugins.sinks.json_sink import JsonSinkOptions
from elspeth.plugins.sinks.null_sink import NullSink
from elspeth.plugins.sinks.text_sink import TextSinkOptions


def test_an_array_has_an_element_per_line(written) -> None:
    assert written("json", [{"b": 1, "a": None}, {"a": "é"}]) == '[\n{"b":1,"a":null},\n{"a":"é"}\n]\n'.encode()


def test_an_array_of_no_rows_is_still_an_array(written) -> None:
    assert written("json", []) == b"[]\n"


def test_indent_spreads_elements_over_lines(written) -> None:
    assert written("json", [{"a": [1], "t": "x\ny"}], indent=2) == (
        b'[\n  {\n    "a": [\n      1\n    ],\n    "t": "x\\ny"\n  }\n]\n'
    )


@pytest.mark.parametrize("name", ["out.jsonl", "out.ndjson", "out.JSONL"])
def test_the_ending_of_a_file_says_that_it_holds_lines(name: str, tmp_path: Path, make_sink) -> None:
    sink = make_sink("json", name)
    sink.open(sink.inspect())
    sink.write([{"a": 1}, {"a": 2}])
    sink.finish()
    assert (tmp_path / name).read_bytes() == b'{"a":1}\n{"a":2}\n'


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("options", [{}, {"indent": 1}, {"format": "jsonl"}])
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.dictionaries(st.text(max_size=5), JSON_VALUES, max_size=4), max_size=5))
def test_any_row_reads_back_as_it_was_keys_in_order(rows: list[dict[str, Any]], options, written) -> None:
    data = written("json", rows, **options)
    back = [json.loads(line) for line in data.split(b"\n")[:-1]] if "format" in options else json.loads(data)
    assert back == rows
    assert [list(row) for row in back] == [list(row) for row in rows]


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"x": [1, {"y": float("nan")}]}, "field x[1].y holds nan, which JSON has no number for"),
        ({"x": None, "y": float("-inf")}, "field y holds -inf, which JSON has no number for"),
        ({"x": "\ud800"}, "the row holds '\\ud800', which is not Unicode text"),
        ({"x": {1, 2}}, "the row cannot be written as JSON: Object of type set is not JSON serializable"),
    ],
)
@pytest.mark.parametrize("indent", [None, 2])
def test_a_row_json_cannot_hold_is_that_rows_failure_alone(bad, words, indent, tmp_path: Path, make_sink) -> None:
    sink = make_sink("json", indent=indent)
    sink.open(sink.inspect())
    assert sink.write([bad, {"a": 1}, bad]) == [words, None, words]
    assert sink.finish()["rows"] == 1
    assert json.loads((tmp_path / "out").read_bytes()) == [{"a": 1}]


def test_integers_of_any_size_are_kept(written) -> None:
    assert written("json", [{"n": 2**70, "x": 1.5}], format="jsonl") == b'{"n":1180591620717411303424,"x":1.5}\n'


def test_names_of_the_input_are_restored(written) -> None:
    assert written("json", [{"a": 1, "b": 2}], format="jsonl", headers={"a": "A a"}) == b'{"A a":1,"b":2}\n'


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "append"}, "needs format: jsonl"),
        ({"format": "jsonl", "indent": 2}, "every row is one line"),
        ({"encoding": "latin-1"}, "utf-8"),
        ({"format": "xml"}, "format"),
    ],
)
def test_json_options_that_contradict_each_other_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        JsonSinkOptions.model_validate({"path": "x", **options})


def test_a_text_line_is_the_only_field_or_the_one_that_is_named(written) -> None:
    assert written("text", [{"any": "one"}, {"other": 2}, {"x": True}]) == b"one\n2\ntrue\n"
    assert written("text", [{"a": "x", "b": "y"}], field="b") == b"y\n"
    assert written("text", [{"a": "x", "b": "y"}], column="a") == b"x\n"


def test_what_says_why_a_row_was_refused_is_not_the_line_of_it_unless_there_is_no_other(written) -> None:
    row = {"own": "x", **dict.fromkeys(ERROR_FIELDS, "why")}
    assert written("text", [row], evidence=ERROR_FIELDS) == b"x\n"
    assert written("text", [{ERROR_FIELDS[0]: "why"}], evidence=ERROR_FIELDS) == b"why\n"
    assert written("text", [{ERROR_FIELDS[0]: "mine"}]) == b"mine\n"  # where no step refuses it is a name like others


def test_what_is_no_line_of_text_is_refused(tmp_path: Path, make_sink) -> None:
    sink = make_sink("text", encoding="ascii")
    sink.open(sink.inspect())
    rows: list[dict[str, Any]] = [{"a": "x\ny"}, {"a": None}, {"a": [1]}, {"a": "é"}, {"a": "x", "b": "y"}, {"a": "ok"}]
    assert sink.write(rows) == [
        "field a has a line end in it, so it is not one line",
        "field a holds nothing, not text",
        "field a holds a list, not text",
        "field a holds 'é', which the encoding ascii cannot express",
        "the row has 2 fields, and the sink's option `field` does not say which",
        None,
    ]
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"ok\n"


def test_a_text_row_without_the_named_field_is_refused(make_sink) -> None:
    sink = make_sink("text", field="a")
    sink.open(sink.inspect())
    assert sink.write([{"b": "x"}]) == ["the row has no field a"]


def test_a_text_file_has_no_header_to_name() -> None:
    with pytest.raises(ValidationError):
        TextSinkOptions.model_validate({"path": "x", "headers": "original"})


def test_the_null_sink_counts_on_from_its_position() -> None:
    sink = NullSink(PluginOptions())
    sink.open(sink.inspect())
    assert sink.write([{}, {"a": 1}]) == [None, None]
    position = sink.flush()
    again = NullSink(PluginOptions())
    again.check(position)
    assert again.open(position) == []
    again.write([{}])
    assert again.finish() == {"rows": 3}
