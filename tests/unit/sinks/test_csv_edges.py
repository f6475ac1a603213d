"""The edges of CSV outputs: whole floats, evidence beside rows, what an appended file has, options that cannot work."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins.sinks.csv_sink import CsvSinkOptions, as_float, places
from elspeth.plugins.sinks.csv_text import Style, line, without_formula

EVIDENCE = ("_line", "_error", "_raw", "_node")


@pytest.mark.parametrize(
    ("value", "text"),
    [(3, "3.0"), (0, "0.0"), (2**53, "9007199254740992.0"), (2**53 + 1, str(2**53 + 1)), (10**400, "1" + "0" * 400),
     (1.5, "1.5"), (True, "True"), ("3", "3"), (None, "")],
)  # fmt: skip
def test_a_whole_number_is_written_as_the_float_that_is_the_same(value: Any, text: str, written: Any) -> None:
    schema = {"mode": "flexible", "fields": ["f: float"]}
    rows = [{"f": value, "n": 7}, {"f": value, "n": 8}]
    for options, spelt in (({}, text), ({"whole_floats": False}, text.removesuffix(".0"))):
        expected = f"f,n\r\n{spelt},7\r\n{spelt},8\r\n"
        assert written("csv", rows, schema=schema, name=str(options), **options).decode() == expected


def test_where_floats_stand_and_what_they_are() -> None:
    assert places(("a", "b", "c"), {"a", "c"}) == (0, 2)
    assert places((), {"a"}) == ()
    assert [as_float(value) for value in (True, "x", 2.5, None)] == [True, "x", 2.5, None]


@pytest.mark.parametrize(
    ("text", "safe"),
    [("=1", "'=1"), ("-1", "-1"), ("+1.5e-3", "+1.5e-3"), ("-.5", "-.5"), ("-1.", "-1."), ("-", "'-"), ("", ""),
     ("-1e", "'-1e"), ("@", "'@"), ("a=1", "a=1"), ("\tx", "'\tx"), ("\rx", "'\rx"), ("+", "'+")],
)  # fmt: skip
def test_what_a_spreadsheet_would_compute_stands_behind_an_apostrophe(text: str, safe: str) -> None:
    assert without_formula(text) == safe


@pytest.mark.parametrize(
    ("values", "style", "text"),
    [
        ((None, ""), Style(), ",\n"), (("",), Style(), '""\n'), ((None,), Style("all"), '""\n'),
        ((None, "NULL"), Style(null_as="NULL"), 'NULL,"NULL"\n'), (("",), Style(null_as="x"), '""\n'),
        ((1, "a", [1]), Style("nonnumeric"), '1,"a","[1]"\n'),
        (('a"b', "c,d", "e\nf"), Style(), '"a""b","c,d","e\nf"\n'),
        ((None, "x"), Style("nonnumeric"), ',"x"\n'), (({"é": 1}, 1e300), Style(), '"{""é"":1}",1e+300\n'),
    ],
)  # fmt: skip
def test_a_line_says_what_its_values_are(values: tuple[Any, ...], style: Style, text: str) -> None:
    columns = [f"c{place}" for place in range(len(values))]
    assert line(values, columns, ",", "\n", "utf-8", style).decode() == text


def opened(make_sink: Any, **options: Any) -> Any:
    sink = make_sink("csv", **options)
    sink.open(sink.inspect())
    return sink


def test_rows_of_several_shapes_have_the_evidence_last_and_those_that_were_not_refused_leave_it_empty(
    tmp_path: Path, make_sink: Any
) -> None:
    sink = opened(make_sink, evidence=EVIDENCE)
    rows = [
        {"_line": 3, "a": 1, "_error": "bad", "_raw": "x"},
        {"a": 2},
        {"a": 4, "_error": "no", "_node": "t"},
        {"a": 5, "more": 6},
        {"_line": 9, "_error": "empty", "_raw": ""},
    ]
    assert sink.write(rows) == [
        None, None, None, "the row has a value for more, which the output has no column for", None,
    ]  # fmt: skip
    sink.finish()
    assert (tmp_path / "out").read_text() == "a,_line,_error,_raw,_node\n1,3,bad,x,\n2,,,,\n4,,no,,t\n,9,empty,,\n"


def test_a_reason_in_letters_that_the_encoding_lacks_does_not_cost_the_row(tmp_path: Path, make_sink: Any) -> None:
    sink = opened(make_sink, evidence=("_error", "_node"), encoding="latin-1")
    answers = sink.write([{"a": "ü", "_error": "no €", "_node": "t"}, {"a": "€", "_error": "no", "_node": "t"}])
    assert [answer is None for answer in answers] == [True, False]
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"a,_error,_node\r\n\xfc,no \\u20ac,t\r\n"


def test_without_evidence_a_field_of_its_name_is_a_value_like_any_other(make_sink: Any) -> None:
    [answer] = opened(make_sink, encoding="latin-1").write([{"_error": "€"}])
    assert answer == "column _error holds '€', which the encoding iso8859-1 cannot express"


def test_the_fields_of_an_appended_file_are_those_of_its_header_and_some_may_be_missing(
    tmp_path: Path, make_sink: Any
) -> None:
    (tmp_path / "out").write_bytes(b"Alpha,b,_error,_node\r\n")
    schema = {"mode": "flexible", "fields": ["a: int", "b: int?"]}
    sink = make_sink("csv", mode="append", schema=schema, headers={"a": "Alpha"}, evidence=("_error", "_node"))
    columns = {"a", "b", "_error", "_node"}
    assert sink.fields(sink.inspect()) == ({"a"}, columns)
    fresh = make_sink("csv", "fresh")
    assert fresh.fields(fresh.inspect()) is None


def test_a_file_of_nothing_is_appended_to_as_if_it_were_not_there(tmp_path: Path, make_sink: Any) -> None:
    (tmp_path / "out").write_bytes(b"")
    sink = opened(make_sink, mode="append")
    sink.write([{"a": 1}])
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b"a\r\n1\r\n"


@pytest.mark.parametrize("there", [b"a\n1\n", b"a\n1"])
def test_an_appended_file_keeps_its_line_ends_and_gets_the_last_one_once(
    there: bytes, tmp_path: Path, make_sink: Any
) -> None:
    (tmp_path / "out").write_bytes(there)
    sink = opened(make_sink, mode="append")
    assert sink.state() == {
        "columns": ["a"],
        "line_end": "\n",
        **({} if there[-1:] == b"\n" else {"line_end_due": True}),
    }
    sink.write([{"a": 2}])
    sink.write([{"a": "\r"}])
    assert sink.state() == {"columns": ["a"], "line_end": "\n"}
    sink.finish()
    assert (tmp_path / "out").read_bytes() == b'a\n1\n2\n"\r"\n'


def test_a_header_that_cannot_be_written_is_a_mistake_of_the_settings_where_they_name_it(make_sink: Any) -> None:
    schema = {"mode": "fixed", "fields": ["a: int", "b: int"]}
    with pytest.raises(SettingsError, match="cannot write its header: two columns would have the name 'b'") as caught:
        opened(make_sink, schema=schema, headers={"a": "b"}).finish()
    assert caught.value.next_step == "Change the sink's options."
    assert opened(make_sink, name="odd", fields=("a", "b"), headers={"a": "b"}).closing() == b""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"booleans": ("yes", "yes")}, "two different words"), ({"booleans": ("", "no")}, "two different words"),
        ({"booleans": ("yes", "")}, "two different words"), ({"delimiter": ";;"}, "one character"),
        ({"delimiter": "\r"}, "line end"), ({"delimiter": "\n"}, "line end"), ({"null_as": "a\rb"}, "line end"),
    ],
)  # fmt: skip
def test_spellings_that_nobody_could_read_back_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CsvSinkOptions.model_validate({"path": "x.csv", **options})


def test_what_is_written_where_nothing_else_is_asked_for() -> None:
    options = CsvSinkOptions.model_validate({"path": "x.csv"})
    assert (options.delimiter, options.line_terminator, options.booleans) == (",", "\r\n", ("True", "False"))
    assert (options.whole_floats, options.quoting, options.null_as) == (True, "minimal", "")
    assert (options.escape_formulas, options.empty_header) == (False, "known")
