"""The csv sink: what stands in the file, which rows are refused, and that both ways of writing give the same bytes."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.errors import SettingsError
from elspeth.plugins.sinks.csv_sink import CsvSink, CsvSinkOptions

FIXED = {"mode": "fixed", "fields": ["id: int", "name: str", "note: str?"]}
FREE = {"mode": "free", "fields": ["id: int", "name: str"]}


def opened(make_sink: Any, **options: Any) -> CsvSink:
    sink: CsvSink = make_sink("csv", **options)
    sink.open(sink.inspect())
    return sink


def test_values_are_written_as_people_expect_them(written) -> None:
    row = {
        "none": None,
        "yes": True,
        "no": False,
        "whole": 10**30,
        "part": 0.1,
        "big": 1e300,
        "nested": {"a": [1, "é"]},
    }
    assert written("csv", [row]).decode().splitlines() == [
        "none,yes,no,whole,part,big,nested",
        ",True,False,1000000000000000000000000000000,0.1,1e+300,\"{\"\"a\"\":[1,\"\"é\"\"]}\"",
    ]  # fmt: skip


def test_the_header_follows_the_first_row_and_later_rows_follow_the_header(written) -> None:
    assert written("csv", [{"b": 1, "a": 2}, {"a": 3, "b": 4}]) == b"b,a\r\n1,2\r\n4,3\r\n"


def test_the_header_of_a_fixed_schema_stands_even_over_no_rows(written) -> None:
    assert written("csv", [], schema=FIXED) == b"id,name,note\r\n"


def test_without_a_schema_an_output_of_no_rows_is_empty(written) -> None:
    assert written("csv", []) == b""


def test_a_flexible_schema_comes_first_and_the_first_row_adds_the_rest(written) -> None:
    assert written("csv", [{"x": 9, "name": "n", "id": 1}], schema=FREE) == b"id,name,x\r\n1,n,9\r\n"


def test_an_optional_field_may_be_missing(written) -> None:
    rows = [{"id": 1, "name": "a"}, {"id": 2, "name": "b", "note": "c"}]
    assert written("csv", rows, schema=FIXED) == b"id,name,note\r\n1,a,\r\n2,b,c\r\n"


def test_a_row_that_does_not_fit_is_refused_with_the_fields_named(tmp_path: Path, make_sink) -> None:
    sink = opened(make_sink)
    answers = sink.write([{"a": 1, "b": 2}, {"a": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 1, "x": 2}, {"a": 3, "b": 4}])
    assert answers == [
        None,
        "the row has no value for column b",
        "the row has a value for c, which the output has no column for",
        "the row has no value for column b and has a value for x, which the output has no column for",
        None,
    ]
    assert sink.finish()["rows"] == 2
    assert (tmp_path / "out").read_bytes() == b"a,b\r\n1,2\r\n3,4\r\n"


def test_a_first_row_that_is_refused_leaves_no_header_behind(tmp_path: Path, make_sink) -> None:
    sink = opened(make_sink, encoding="latin-1")
    assert sink.write([{}, {"wrong": "€"}, {"right": "ü"}]) == [
        "the row has no fields, so there is no header to write",
        "column wrong holds '€', which the encoding iso8859-1 cannot express",
        None,
    ]
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"right\r\n\xfc\r\n"


@pytest.mark.parametrize(
    "bad",
    [float("nan"), float("inf"), "\ud800", 10**5000, object()],
    ids=["nan", "inf", "surrogate", "huge", "object"],
)
def test_a_value_that_cannot_be_written_is_that_rows_failure_alone(bad: Any, tmp_path: Path, make_sink) -> None:
    sink = opened(make_sink)
    answers = sink.write([{"a": 1, "b": 1}, {"a": 2, "b": bad}, {"a": 3, "b": 3}])
    assert [answer is None for answer in answers] == [True, False, True]
    assert answers[1] is not None
    assert answers[1].startswith("column b holds ")
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"a,b\r\n1,1\r\n3,3\r\n"


def test_tab_may_be_written_as_a_word(written) -> None:
    assert written("csv", [{"a": 1, "b": "x\ty"}], delimiter="tab") == b'a\tb\r\n1\t"x\ty"\r\n'


def test_an_empty_value_alone_on_its_line_is_still_a_line(written) -> None:
    assert written("csv", [{"a": ""}, {"a": None}, {"a": "x"}]) == b'a\r\n""\r\n""\r\nx\r\n'


@pytest.mark.parametrize("terminator", ["\n", "\r\n"])
def test_carriage_returns_and_line_feeds_in_values_read_back(terminator: str, written) -> None:
    rows = [{"a": "x\ry", "b": "x\ny"}, {"a": "x\r\ny", "b": "\r"}]
    text = written("csv", rows, line_terminator=terminator).decode()
    assert list(csv.DictReader(io.StringIO(text, newline=""), strict=True)) == rows


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.text(alphabet='",;\r\n\t\x00 ', max_size=3)
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(st.fixed_dictionaries({"a": VALUES, "b": VALUES}, optional={"c": VALUES}), max_size=6),
    delimiter=st.sampled_from([",", ";", "\t", " ", "1", "e"]),
    terminator=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "latin-1", "utf-16", "utf-8-sig"]),
)
def test_all_rows_at_once_and_one_by_one_give_the_same_bytes(
    rows, delimiter, terminator, encoding, tmp_path: Path, make_sink
) -> None:
    options = {"delimiter": delimiter, "line_terminator": terminator, "encoding": encoding}
    at_once = opened(make_sink, **options)
    answers = at_once.write(rows)
    at_once.finish()
    at_once.close()
    together = (tmp_path / "out").read_bytes()

    one_by_one = opened(make_sink, **options)
    alone = [one_by_one._start(row) if one_by_one._columns is None else one_by_one._write_one(row) for row in rows]
    assert alone == answers
    one_by_one.finish()
    one_by_one.close()
    assert (tmp_path / "out").read_bytes() == together

    fitting = [row for row, answer in zip(rows, answers, strict=True) if answer is None]
    lines = list(csv.reader(io.StringIO(together.decode(encoding), newline=""), delimiter=delimiter, strict=True))
    assert len(lines) == len(fitting) + bool(fitting)


def test_original_names_are_restored_from_the_input(tmp_path: Path, make_sink) -> None:
    sink = opened(make_sink, headers="original", headers_found={"first_name": "First Name!"})
    sink.write([{"first_name": "Ada", "score": 1}])
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"First Name!,score\r\nAda,1\r\n"


def test_a_mapping_renames_columns_and_appending_finds_them_again(tmp_path: Path, make_sink) -> None:
    options: dict[str, Any] = {"headers": {"a": "Alpha"}, "mode": "append"}
    for number in (1, 2):
        sink = opened(make_sink, **options)
        assert sink.write([{"b": number, "a": "x"}]) == [None]
        sink.finish()
        sink.close()
    assert (tmp_path / "out").read_bytes() == b"b,Alpha\r\n1,x\r\n2,x\r\n"


def test_names_that_would_meet_in_one_column_are_refused(make_sink) -> None:
    sink = opened(make_sink, headers={"a": "b"})
    assert sink.write([{"a": 1, "b": 2}]) == ["two columns would have the name 'b'"]


def test_rows_appended_take_the_order_of_the_header_that_is_there(tmp_path: Path, make_sink) -> None:
    (tmp_path / "out").write_bytes(b"\xef\xbb\xbfz,a\r\n1,2\r\n")
    sink = opened(make_sink, mode="append", line_terminator="\r\n")
    assert sink.write([{"a": 3, "z": 4}, {"a": 3}]) == [None, "the row has no value for column z"]
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"\xef\xbb\xbfz,a\r\n1,2\r\n4,3\r\n"


BAD_HEADERS = [
    (b"id,nom,note\n", "has the header id, nom, note; the schema says id, name, note"),
    (b"id,name,note,more\n", "the schema says id, name, note"),
    (b"id,id\n", "stands there twice"),
    (b"\n", "a name is missing"),
    (b"\xff\n", "no header in utf-8"),
    (b'"id,name', "no header in utf-8"),
]


@pytest.mark.parametrize(("there", "words"), BAD_HEADERS)
def test_a_header_that_does_not_fit_is_refused_before_the_run(there: bytes, words: str, tmp_path, make_sink) -> None:
    (tmp_path / "out").write_bytes(there)
    with pytest.raises(SettingsError, match=words):
        make_sink("csv", mode="append", schema=FIXED).inspect()


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({}, b"id,name\r\n"),
        ({"empty_header": "known"}, b"id,name\r\n"),
        ({"empty_header": "declared"}, b""),
        ({"empty_header": "declared", "schema": {"mode": "fixed", "fields": ["name: str", "id: str"]}}, b"name,id\r\n"),
    ],
)
def test_an_output_without_rows_has_the_header_that_is_known_or_only_the_declared_one(
    options: dict[str, Any], left: bytes, make_sink, written
) -> None:
    assert written("csv", [], fields=("id", "name"), **options) == left


BAD_OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"delimiter": ""}, "one character"),
    ({"delimiter": '"'}, "neither a quote"),
    ({"line_terminator": "\r"}, "line_terminator"),
    ({"encoding": "klingon"}, "not a text encoding"),
    ({"encoding": "rot13"}, "not a text encoding"),
    ({"encoding": "utf-7"}, "shift states"),
    ({"encoding": "iso-2022-jp"}, "shift states"),
    ({"headers": {"a": "X", "b": "X"}}, "the same name"),
    ({"schema": {"mode": "fixed", "fields": ["id: number"]}}, "schema"),
    ({"delimeter": ";"}, "delimeter"),
]


@pytest.mark.parametrize(("options", "words"), BAD_OPTIONS)
def test_an_option_that_cannot_work_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        CsvSinkOptions.model_validate({"path": "x.csv", **options})
