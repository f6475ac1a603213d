"""Outputs as readers of these files expect them."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Context
from elspeth.plugins.sinks.csv_sink import CsvSink, CsvSinkOptions
from elspeth.plugins.sinks.json_sink import JsonSink, JsonSinkOptions
from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource
from elspeth.schema import RowSchema, compile_reader
from elspeth.settings import effective

FLOATS = {"mode": "fixed", "fields": ["n: int", "x: float", "y: float?"]}


def opened(folder: Path, cls: Any = CsvSink, **options: Any) -> Any:
    kind = CsvSinkOptions if cls is CsvSink else JsonSinkOptions
    sink = cls(kind(**{"path": folder / "out", **options}))
    sink.setup(Context(run_id="r", node_id="out", state_directory=folder / "state", headers={"a": "The A"}))
    return sink


def written(folder: Path, rows: list[dict[str, Any]], cls: Any = CsvSink, **options: Any) -> bytes:
    sink = opened(folder, cls, **options)
    sink.open(sink.inspect())
    assert sink.write(rows) == [None] * len(rows)
    sink.finish()
    path = Path(sink.describe(sink.flush()).path)
    sink.close()
    return path.read_bytes()


def test_lines_end_with_cr_lf_by_default_and_with_lf_where_that_is_asked_for(tmp_path: Path) -> None:
    assert written(tmp_path, [{"a": 1}, {"a": None}]) == b'a\r\n1\r\n""\r\n'
    assert written(tmp_path, [{"a": 1}, {"a": None}], line_terminator="\n") == b'a\n1\n""\n'


def test_mode_append_begins_a_file_that_has_no_line_end_with_those_of_the_option(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a")
    assert written(tmp_path, [{"a": 1}], mode="append") == b"a\r\n1\r\n"


def test_booleans_are_written_true_and_false_with_a_capital(tmp_path: Path) -> None:
    assert written(tmp_path, [{"a": True, "b": False}, {"a": None, "b": "é"}]) == "a,b\r\nTrue,False\r\n,é\r\n".encode()


def test_the_option_booleans_gives_other_words(tmp_path: Path) -> None:
    assert written(tmp_path, [{"a": True, "b": False}], booleans=["J", "N"]) == b"a,b\r\nJ,N\r\n"
    for words in (["x", "x"], ["x", ""], ["x"], ["a", "b", "c"]):
        with pytest.raises(ValidationError):
            CsvSinkOptions(path=tmp_path / "out", booleans=words)  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["True", "False"])
def test_the_source_reads_these_too(text: str) -> None:
    read = compile_reader(RowSchema.parse({"mode": "fixed", "fields": ["b: bool"]}))
    assert read({"b": text}) == {"b": text == "True"}


def test_a_column_that_the_schema_declares_float_writes_a_whole_number_with_a_point_where_that_is_exact(
    tmp_path: Path,
) -> None:
    rows = [{"n": 5, "x": 1279, "y": None}, {"n": 5, "x": 0.5, "y": 2**53 + 1}, {"n": 5, "x": True, "y": 10**400}]
    found = written(tmp_path, rows, schema=FLOATS).decode().splitlines()
    assert found == ["n,x,y", "5,1279.0,", f"5,0.5,{2**53 + 1}", f"5,True,{10**400}"]


def test_a_float_column_of_another_place_is_found_in_the_header_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"x,n\n")
    schema = {"mode": "flexible", "fields": ["n: int", "x: float"]}
    assert written(tmp_path, [{"n": 1, "x": 2}], schema=schema, mode="append") == b"x,n\n2.0,1\n"


TYPED = {"mode": "fixed", "fields": ["i: int?", "x: float?", "b: bool?", "t: str"]}


@given(
    st.lists(
        st.fixed_dictionaries({
            "i": st.none() | st.integers(),
            "x": st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53),
            "b": st.none() | st.booleans(),
            "t": st.text(st.characters(codec="utf-8", exclude_characters="\0")) | st.text('a,"\r\n '),
        }),
        max_size=6,
    ),
    st.sampled_from([{}, {"line_terminator": "\n"}, {"delimiter": "tab"}]),
)  # fmt: skip
def test_whole_numbers_floats_truth_values_and_text_are_equal_when_they_are_read_again(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], options: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("out")
    written(folder, rows, schema=TYPED, **options)
    same = {name: value for name, value in options.items() if name == "delimiter"}
    source = CsvSource(CsvOptions(path=folder / "out", **same))
    typed = compile_reader(RowSchema.parse(TYPED))
    found = [typed(row) for row, _ in source.read(None) if isinstance(row, dict)]
    assert found == rows
    assert [(type(row["b"]), type(row["i"])) for row in found] == [(type(row["b"]), type(row["i"])) for row in rows]
    assert {type(row["x"]) for row in found} <= {float, type(None)}


VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text("a,\n")


@given(st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=6))
def test_one_row_and_many_rows_are_spelt_alike(tmp_path_factory: pytest.TempPathFactory, pairs: Any) -> None:
    rows = [{"n": n, "x": x} for n, x in pairs]
    options: Any = {"schema": {"mode": "flexible", "fields": ["n: any", "x: float"]}}
    folder = tmp_path_factory.mktemp("out")
    whole = written(folder, rows, **options)
    sink = opened(folder, **options)
    sink.open(sink.inspect())
    for row in rows:
        sink.write([row])
    sink.finish()
    sink.close()
    assert (folder / "out").read_bytes() == whole


@pytest.mark.parametrize(("there", "end"), [("a\r\n1\r\n", "\r\n"), ("a\n1\n", "\n"), ("a\r\n1", "\r\n")])
@pytest.mark.parametrize("terminator", ["\n", "\r\n"])
def test_mode_append_keeps_the_line_end_that_the_file_has(
    there: str, end: str, terminator: str, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(there.encode())
    found = written(tmp_path, [{"a": "2"}, {"a": "3"}], mode="append", line_terminator=terminator)
    assert found == end.join(["a", "1", "2", "3", ""]).encode()


def test_it_keeps_it_in_a_process_that_takes_over(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"a\r\n1\r\n")
    first = opened(tmp_path, mode="append")
    first.open(first.inspect())
    first.write([{"a": "2"}])
    position = first.flush()
    first.close()
    second = opened(tmp_path, mode="append")
    second.open(position)
    second.write([{"a": "3"}, {"a": "4"}])
    second.finish()
    second.close()
    assert (tmp_path / "out").read_bytes() == b"a\r\n1\r\n2\r\n3\r\n4\r\n"


def test_quotes_stand_where_they_must_are_doubled_and_a_line_feed_inside_a_value_stays(tmp_path: Path) -> None:
    row = {"a": 'say "x"', "b": "1\n2", "c": "plain", "d": None}
    data = written(tmp_path, [row], line_terminator="\r\n")
    assert data == b'a,b,c,d\r\n"say ""x""","1\n2",plain,\r\n'
    assert list(csv.reader(data.decode().splitlines(keepends=True)))[1] == ['say "x"', "1\n2", "plain", ""]


@pytest.mark.parametrize("cls", [CsvSink, JsonSink])
def test_collision_policy_fail_if_exists_is_fail(cls: Any, tmp_path: Path) -> None:
    sink = opened(tmp_path, cls, collision_policy="fail_if_exists")
    sink.inspect()
    (tmp_path / "out").write_text("")
    with pytest.raises(SettingsError, match="exists already, and its collision_policy is fail_if_exists"):
        sink.inspect()


@pytest.mark.parametrize("mode", ["write", "append"])
def test_collision_policy_append_or_create_goes_on_behind_what_is_there(mode: str, tmp_path: Path) -> None:
    options = {"mode": mode, "collision_policy": "append_or_create"}
    assert written(tmp_path, [{"a": "1"}], **options) == b"a\r\n1\r\n"
    assert written(tmp_path, [{"a": "2"}], **options) == b"a\r\n1\r\n2\r\n"


def test_collision_policy_append_or_create_of_json_goes_on_behind_its_lines(tmp_path: Path) -> None:
    options: Any = {"collision_policy": "append_or_create", "format": "jsonl"}
    written(tmp_path, [{"a": 1}], JsonSink, **options)
    assert written(tmp_path, [{"a": 2}], JsonSink, **options) == b'{"a":1}\n{"a":2}\n'


def test_collision_policies_overwrite_and_auto_increment(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("old")
    assert written(tmp_path, [{"a": "1"}], collision_policy="auto_increment") == b"a\r\n1\r\n"
    assert (tmp_path / "out").read_text() == "old"
    assert written(tmp_path, [{"a": "1"}], collision_policy="overwrite") == b"a\r\n1\r\n"
    assert (tmp_path / "out").read_bytes() == b"a\r\n1\r\n"


@pytest.mark.parametrize(
    ("headers", "name"), [("original", "The A"), ("normalized", "a"), ({"a": "x"}, "x"), (None, "a")]
)
def test_headers_are_original_normalized_or_a_mapping(headers: Any, name: str, tmp_path: Path) -> None:
    assert written(tmp_path, [{"a": "1"}], headers=headers) == f"{name}\r\n1\r\n".encode()
    assert f'"{name}"'.encode() in written(tmp_path, [{"a": "1"}], JsonSink, headers=headers)


def test_a_run_that_was_started_before_keeps_its_words_its_whole_numbers_and_its_line_ends(tmp_path: Path) -> None:
    stored = {"sinks": {"out": {"plugin": "csv", "options": {"schema": FLOATS}}}}
    options = effective.as_stored(stored)["sinks"]["out"]["options"]
    found = written(tmp_path, [{"n": 1, "x": 2, "y": 3}], **options)
    assert found == b"n,x,y\n1,2,3\n"
    free = {name: value for name, value in options.items() if name != "schema"}
    assert written(tmp_path, [{"b": True}], **free) == b"b\ntrue\n"
