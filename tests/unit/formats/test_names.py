"""A name in an expression finds the field by its original header as well as by its identifier."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from elspeth.expressions import compile_expression
from elspeth.graph.field_names import field_names
from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource
from elspeth.testing.in_process import run_in_process
from tests.unit.formats.conftest import problems, read, run, write

CSV = """
source:
  plugin: csv
  options: {path: in.csv, %s}
  on_validation_failure: discard
%s
sinks:
  out: {plugin: json, options: {path: out.json}}
  other: {plugin: json, options: {path: other.json}}
default_sink: out
"""
NORMALISED = "normalize_fields: true"
ROWS = "Case No.,Net Amount,%\n1,5,a\n2,7,b\n"


def gate(condition: str) -> str:
    return f"gates: [{{name: g, condition: \"{condition}\", routes: {{'true': other, 'false': continue}}}}]"


def value(expression: str) -> str:
    operation = f'{{target: x, expression: "{expression}"}}'
    return f"transforms: [{{plugin: value_transform, options: {{operations: [{operation}]}}}}]"


def outputs() -> tuple[list[Any], list[Any]]:
    paths = (Path("out.json"), Path("other.json"))
    return tuple(json.loads(path.read_text()) if path.exists() else [] for path in paths)  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _folder(folder: Path) -> None:
    Path("in.csv").write_text(ROWS)


@pytest.mark.parametrize("name", ["Case No.", "case_no"])
@pytest.mark.parametrize(
    "form", ["row['{}'] == '1'", "row.get('{}', '') == '1'", "'{}' not in row or row['{}'] == '1'"]
)
def test_in_gates(name: str, form: str) -> None:
    run(CSV % (NORMALISED, gate(form.replace("{}", name))))
    out, other = outputs()
    assert ([row["case_no"] for row in out], [row["case_no"] for row in other]) == (["2"], ["1"])


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        (NORMALISED, value("row['Net Amount']")),
        (NORMALISED, value("row['net_amount']")),
        ("normalize_fields: false", value("row['Net Amount']")),
        ("field_mapping: {Net Amount: net}", value("row['Net Amount']")),
        ("field_mapping: {Net_Amount: net}", value("row['Net Amount']")),
        (NORMALISED + ", field_mapping: {Net Amount: net}", value("row['Net Amount']")),
    ],
)
def test_in_value_transform(options: str, steps: str) -> None:
    run(CSV % (options, steps))
    assert [row["x"] for row in outputs()[0]] == ["5", "7"]


def test_with_the_type_that_the_field_has() -> None:
    schema = ', schema: {mode: free, fields: ["net_amount: decimal"]}'
    steps = value("row['Net Amount'] * 2") + "\n" + gate("row['x'] > 12")
    run(CSV % (NORMALISED + schema, steps))
    assert [row["x"] for rows in outputs() for row in rows] == ["10", "14"]


def test_of_a_header_of_which_no_identifier_can_be_made() -> None:
    run(CSV % (NORMALISED, value("row['%']")))
    assert [(row["column_3"], row["x"]) for row in outputs()[0]] == [("a", "a"), ("b", "b")]


def test_in_filter() -> None:
    run(CSV % (NORMALISED, "transforms: [{plugin: filter, options: {condition: \"row['Case No.'] == '2'\"}}]"))
    assert [row["case_no"] for row in outputs()[0]] == ["2"]


def test_in_triggers() -> None:
    run(
        CSV % (NORMALISED, "aggregations: [{name: a, plugin: report_assemble, output_mode: transform,"
               " trigger: {condition: \"row['Case No.'] == '1'\"}, options: {text_field: net_amount}}]")
    )  # fmt: skip
    assert [row["report_body"] for row in outputs()[0]] == ["5", "7"]


def test_of_json_by_field_mapping() -> None:
    Path("in.json").write_text('[{"Case No.": 1, "b": 2}]')
    text = CSV % ("field_mapping: {Case No.: case}", value("row['Case No.'] + row['case']"))
    run(text.replace("csv", "json"))
    assert outputs()[0] == [{"case": 1, "b": 2, "x": 2}]


def test_a_fixed_schema_knows_the_identifier_alone() -> None:
    schema = ', schema: {mode: fixed, fields: ["case_no: int", "net_amount: int", "column_3: str"]}'
    run(CSV % (NORMALISED + schema, gate("row['Case No.'] > 1")))
    assert [row["case_no"] for row in outputs()[1]] == [2]


def test_a_field_that_rows_have_under_that_name_is_meant_by_it() -> None:
    two = "{operations: [{target: Case No., expression: \"'own'\"}, {target: y, expression: \"row['Case No.']\"}]}"
    steps = f"transforms: [{{plugin: value_transform, options: {two}}}]\n" + gate("row['Case No.'] == 'own'")
    run(CSV % (NORMALISED, steps))
    assert [row["y"] for row in outputs()[1]] == ["own", "own"]


def test_a_name_that_is_neither_is_a_problem() -> None:
    with pytest.raises(Exception, match="'g' needs the field 'CASE NO'"):
        inspected(CSV % (NORMALISED, gate("row['CASE NO'] == '1'")))


def inspected(text: str) -> Any:
    pipeline = read(text)
    pipeline.inspect(Path("state"))
    return pipeline


SEVERAL = """
sources:
  a: {plugin: csv, options: {path: in.csv, normalize_fields: true}, on_success: all}
  b: {plugin: csv, options: {path: b.csv, normalize_fields: %s, field_mapping: %s}, on_success: all}
queues: {all: {}}
gates: [{name: g, input: all, condition: "row['Case No.'] == '1'", routes: {'true': out, 'false': out}}]
sinks: {out: {plugin: json, options: {path: out.json}}}
"""


def test_sources_that_call_it_alike_agree() -> None:
    Path("b.csv").write_text("case_no,z\n1,2\n")
    pipeline = inspected(SEVERAL % ("true", "{}"))
    assert field_names(pipeline.graph, pipeline.plugins, pipeline.headers_by_source()) == {"g": {"Case No.": "case_no"}}


def test_where_sources_call_different_fields_so_it_means_neither() -> None:
    Path("b.csv").write_text("Case No.,z\n1,2\n")
    with pytest.raises(Exception, match=r"needs the field 'Case No\.'"):
        inspected(SEVERAL % ("false", "{}"))


@pytest.mark.parametrize(
    ("text", "row", "answer"),
    [
        ("row['A b'] + 1", {"a": 1}, 2),
        ("row.get('A b', 5)", {}, 5),
        ("'A b' in row", {"a": None}, True),
        ("row['c'] == 'A b'", {"c": "A b"}, True),  # a value stays what it is
    ],
)
def test_names_are_put_in_place_when_an_expression_is_compiled(text: str, row: dict[str, Any], answer: Any) -> None:
    expression = compile_expression(text, {}, {"A b": "a"})
    assert expression.evaluate(row) == answer
    assert "A b" not in expression.fields
    constants = compile_expression(text.replace("A b", "a")).evaluate.__code__.co_code  # type: ignore[attr-defined]
    assert expression.evaluate.__code__.co_code == constants  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("options", "name", "field"),
    [
        ({}, "Net Amount", "Net_Amount"),
        ({"normalize_fields": True}, "Net Amount", "net_amount"),
        ({"field_mapping": {"Net Amount": "n"}}, "Net Amount", "n"),
        ({"field_mapping": {"Net_Amount": "n"}}, "Net Amount", "n"),
    ],
)
def test_a_source_says_what_a_field_will_be_called(options: Any, name: str, field: str) -> None:
    assert CsvSource(CsvOptions(path=Path("in.csv"), **options)).field_of(name) == field


def test_the_debugger_finds_it_too() -> None:
    file = write(CSV % (NORMALISED, gate("row['Case No.'] == '1'")))
    assert [row["case_no"] for row in run_in_process(file).rows["other"]] == ["1"]


def test_it_is_no_name_for_what_is_no_expression() -> None:
    text = CSV % (
        NORMALISED + ', schema: {mode: fixed, fields: ["case_no: str", "net_amount: str", "column_3: str"]}',
        "transforms: [{plugin: truncate, options: {fields: {Case No.: 3}, strict: true}}]",
    )
    assert "needs the field 'Case No.'" in problems(text)[0].message
