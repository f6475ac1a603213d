"""How a CSV output spells values on request: quotes, null, and nothing that a spreadsheet would compute."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from elspeth.plugins import registry
from elspeth.plugins.options import OptionProblems
from elspeth.testing import check_sink

ROW: dict[str, Any] = {"t": "x", "e": "", "z": None, "n": -1.5, "w": 7, "b": True, "l": [1]}
CASES: list[tuple[dict[str, Any], str]] = [
    ({}, "t,e,z,n,w,b,l\r\nx,,,-1.5,7,True,[1]\r\n"),
    ({"quoting": "all"}, '"t","e","z","n","w","b","l"\r\n"x","",,"-1.5","7","True","[1]"\r\n'),
    ({"quoting": "nonnumeric"}, '"t","e","z","n","w","b","l"\r\n"x","",,-1.5,7,"True","[1]"\r\n'),
    ({"null_as": "NULL"}, "t,e,z,n,w,b,l\r\nx,,NULL,-1.5,7,True,[1]\r\n"),
    ({"null_as": "x"}, 't,e,z,n,w,b,l\r\n"x",,x,-1.5,7,True,[1]\r\n'),
    ({"null_as": "a,b"}, 't,e,z,n,w,b,l\r\nx,,"a,b",-1.5,7,True,[1]\r\n'),
]


@pytest.mark.parametrize(("options", "expected"), CASES)
def test_values_are_spelt_as_asked(options: dict[str, Any], expected: str, written) -> None:
    assert written("csv", [ROW], **options).decode() == expected


def test_null_and_empty_text_differ_where_all_is_quoted(written) -> None:
    assert written("csv", [{"a": None}, {"a": ""}], quoting="all") == b'"a"\r\n""\r\n""\r\n'  # a line must be a line
    assert written("csv", [{"a": None, "b": ""}], quoting="all", name="two") == b'"a","b"\r\n,""\r\n'


def test_nothing_is_left_for_a_spreadsheet_to_compute(written) -> None:
    rows = [
        {"=a": "=1+1", "b": "+49 30"}, {"=a": "@SUM(A1)", "b": "-x"}, {"=a": "\t=1", "b": "-12.5"},
        {"=a": -3, "b": "+1e9"}, {"=a": "a=b", "b": "\r=2"},
    ]  # fmt: skip
    found = written("csv", rows, escape_formulas=True).decode()
    assert list(csv.reader(io.StringIO(found, newline=""))) == [
        ["'=a", "b"], ["'=1+1", "'+49 30"], ["'@SUM(A1)", "'-x"], ["'\t=1", "-12.5"], ["-3", "+1e9"],
        ["a=b", "'\r=2"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [{"quoting": "all"}, {"quoting": "nonnumeric", "null_as": "-"}, {"escape_formulas": True, "null_as": "\\N"}],
)
@pytest.mark.parametrize("there", [None, b'"t","z"\r\n"x",1\r\n'])
def test_a_sink_that_spells_otherwise_keeps_its_contract(
    options: dict[str, Any], there: bytes | None, tmp_path
) -> None:
    path = tmp_path / "out.csv"
    if there is not None:
        path.write_bytes(there)
        options = {**options, "mode": "append"}
    rows = [{"t": "=x", "z": None}, {"t": 'q"', "z": 1}, {"t": "-", "z": float("nan")}, {"t": "", "z": True}]
    check_sink(registry.build(registry.find("sink", "csv"), {"path": str(path), **options}, "sink"), rows)


@pytest.mark.parametrize("options", [{"null_as": "a\nb"}, {"null_as": '"'}, {"quoting": "some"}])
def test_spellings_that_cannot_be_read_back_are_problems(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionProblems):
        registry.build(registry.find("sink", "csv"), {"path": str(tmp_path / "x"), **options}, "sink")
