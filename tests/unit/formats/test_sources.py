"""Sources as files of this format know them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Invalid
from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource
from elspeth.plugins.sources.json_source import JsonOptions, JsonSource
from elspeth.plugins.sources.text_source import TextOptions, TextSource
from elspeth.schema import RowSchema, SchemaError, compile_reader
from elspeth.settings import effective
from tests.unit.formats.conftest import read, write


def test_text_strips_white_space_and_skips_blank_lines_by_default(tmp_path: Path) -> None:
    file = tmp_path / "in.txt"
    file.write_bytes(b" one \r\n\n \t\n\ttwo")
    assert [row for row, _ in TextSource(TextOptions(path=file)).read(None)] == [{"text": "one"}, {"text": "two"}]
    kept = TextSource(TextOptions(path=file, strip_whitespace=False, skip_blank_lines=False))
    assert [row for row, _ in kept.read(None)] == [{"text": " one "}, {"text": ""}, {"text": " \t"}, {"text": "\ttwo"}]


def test_a_run_that_was_started_with_the_text_source_goes_on_as_it_was() -> None:
    stored = {"source": {"plugin": "text", "options": {"path": "in.txt"}}}
    options = effective.as_stored(stored)["source"]["options"]
    assert (options["strip_whitespace"], options["skip_blank_lines"]) == (False, False)


@pytest.mark.parametrize(("text", "value"), [("9.0", 9), ("-9.00", -9), (" +9.0 ", 9), ("0.0", 0), ("9", 9)])
def test_an_integer_field_takes_text_that_is_an_exact_whole_number(text: str, value: int) -> None:
    for schema in ("n: int", "n: int?"):
        found = compile_reader(RowSchema.parse({"mode": "fixed", "fields": [schema]}))({"n": text})["n"]
        assert (found, type(found)) == (value, int)


@pytest.mark.parametrize("text", ["9.5", "9.", ".0", "9.0.0", "9e0", "9,0", "x", "-", "-.0", "9.0 0"])
def test_an_integer_field_takes_no_other_text(text: str) -> None:
    with pytest.raises(SchemaError):
        compile_reader(RowSchema.parse({"mode": "fixed", "fields": ["n: int"]}))({"n": text})


@pytest.mark.parametrize("name", ["Case No.", "Case_No"])
def test_field_mapping_of_csv_goes_by_the_original_or_the_identifier(name: str, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("Case No.,Amount\n1,2\n")
    source = CsvSource(CsvOptions(path=file, field_mapping={name: "case"}))
    assert source.describe().headers == {"case": "Case No.", "Amount": "Amount"}
    assert [row for row, _ in source.read(None)] == [{"case": "1", "Amount": "2"}]


@pytest.mark.parametrize(
    ("original", "name"),
    [
        ("Case No.", "case_no"), ("  Amount ", "amount"), ("a  -  b", "a_b"), ("__x__", "x"), ("2nd", "_2nd"),
        ("class", "class_"), ("Cafe\u0301", "caf\u00e9"), ("m\u00b2", "m"), ("%", "column_1"), ("ID", "id"),
    ],
)  # fmt: skip
def test_normalize_fields_makes_identifiers_in_lower_case(original: str, name: str, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text(f"{original},other\n1,2\n")
    source = CsvSource(CsvOptions(path=file, normalize_fields=True))
    assert source.describe().headers == {name: original, "other": "other"}


def test_two_names_that_become_equal_are_an_error_naming_both_originals_and_their_columns(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("a,Case No,b,case_no\n")
    with pytest.raises(SettingsError) as caught:
        CsvSource(CsvOptions(path=file, normalize_fields=True)).describe()
    assert "'Case No' (column 2) and 'case_no' (column 4) both become 'case_no'" in str(caught.value)


FORMS = {
    "source: {plugin: csv, options: {path: in.csv}}": False,
    "source: {plugin: csv, options: {path: in.csv, normalize_fields: true}}": True,
    "sources: {one: {plugin: csv, options: {path: in.csv}}}": True,
    "sources: {one: {plugin: csv, options: {path: in.csv, normalize_fields: false}}}": False,
}


@pytest.mark.parametrize("form", FORMS)
def test_it_is_on_for_files_with_sources_and_off_for_those_with_one_source(form: str, folder: Path) -> None:
    pipeline = read(f"{form}\nsinks: {{out: {{plugin: json, options: {{path: out.json}}}}}}\ndefault_sink: out\n")
    (plugin,) = (pipeline.source(node.id) for node in pipeline.graph.of_kind("source"))
    assert isinstance(plugin.options, CsvOptions)
    assert plugin.options.normalize_fields is FORMS[form]


def test_a_run_that_was_started_with_sources_keeps_its_names() -> None:
    stored = {"sources": {"one": {"plugin": "csv", "options": {"path": "in.csv"}}}}
    assert effective.as_stored(stored)["sources"]["one"]["options"]["normalize_fields"] is False


@pytest.mark.parametrize(
    ("name", "text"),
    [("in.json", '[{"Case No.": 1, "b": 2}, {"b": 3}]'), ("in.jsonl", '{"Case No.": 1, "b": 2}\n{"b": 3}\n')],
)
def test_field_mapping_of_json_names_the_fields(name: str, text: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_text(text)
    source = JsonSource(JsonOptions(path=file, field_mapping={"Case No.": "case"}))
    found = list(source.read(None))
    assert [row for row, _ in found] == [{"case": 1, "b": 2}, {"b": 3}]
    assert [row for row, _ in source.read(found[0][1])] == [{"b": 3}]


def test_a_json_object_with_two_fields_of_one_new_name_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "in.jsonl"
    file.write_text('{"x": 1}\n{"a": 1, "b": 2}\n')
    found = [item for item, _ in JsonSource(JsonOptions(path=file, field_mapping={"a": "b"})).read(None)]
    assert found[0] == {"x": 1}
    assert isinstance(found[1], Invalid)
    assert (found[1].error, found[1].line) == ("has two fields that field_mapping calls 'b'", 2)


LINE = "%s\nsinks: {out: {plugin: json, options: {path: out.json}}}\ndefault_sink: out\n"
CSV = (
    "plugin: csv, options: {path: in.csv, schema: {mode: free, fields: ['NAME: int']}OPTIONS},"
    " on_validation_failure: discard"
)
ONE, SEVERAL = "source: {%s}", "sources: {one: {%s}}"


@pytest.mark.parametrize(
    ("form", "options", "declared", "there"),
    [
        (ONE, "", "Amount", "amount"),
        (ONE, "", "amount", "Amount"),
        (ONE, ", normalize_fields: true", "AMOUNT", "amount"),
        (ONE, ", field_mapping: {Amount: Sum}", "sum", "Sum"),
        (SEVERAL, "", "AMOUNT", "amount"),
        (SEVERAL, "", "Case_No", "case_no"),
        (SEVERAL, ", normalize_fields: false", "amount", "Amount"),
    ],
)
@pytest.mark.parametrize("optional", [False, True])
def test_a_declared_field_that_is_in_no_header_but_there_in_other_letters_is_said_by_validate(
    form: str, options: str, declared: str, there: str, optional: bool, folder: Path,
    told: Callable[..., tuple[int, str, str]],
) -> None:  # fmt: skip
    Path("in.csv").write_text("Case No,amount\n1,1\n" if there == "amount" else "Case No,Amount\n1,1\n")
    name = f"{declared}: int?" if optional else f"{declared}: int"
    step = CSV.replace("NAME: int", name).replace("OPTIONS", options)
    write(LINE % (form % step))
    code, printed, said = told("validate", "--no-dotenv")
    assert code == (0 if optional else 2), said
    assert f"in other letters: {there!r}" in " ".join((printed + said).split())


def test_an_original_name_that_is_an_identifier_in_rows_is_said_too(
    folder: Path, told: Callable[..., tuple[int, str, str]]
) -> None:
    Path("in.csv").write_text("Amount,b\n1,1\n")
    for name, code in (("Amount: int", 2), ("Amount: int?", 0)):
        write(LINE % (SEVERAL % CSV.replace("NAME: int", name).replace("OPTIONS", "")))
        found, printed, said = told("validate", "--no-dotenv")
        assert found == code, said
        assert "it is called 'amount' in rows" in " ".join((printed + said).split())


@pytest.mark.parametrize("optional", ["", "?"])
def test_of_an_input_that_has_no_header_nothing_is_said(
    optional: str, folder: Path, told: Callable[..., tuple[int, str, str]]
) -> None:
    Path("in.jsonl").write_text('{"amount": 1}\n')
    Path("in.json").write_text('[{"amount": 1}]')
    Path("in.txt").write_text("amount\n")
    for plugin, file in (("json", "in.jsonl"), ("json", "in.json"), ("text", "in.txt")):
        step = CSV.replace("NAME: int", f"Amount: str{optional}").replace("OPTIONS", "")
        write(LINE % (ONE % step.replace("csv", plugin).replace(f"in.{plugin}", file)))
        code, printed, said = told("validate", "--no-dotenv")
        assert code == 0, said
        assert "Amount" not in said
        assert "letters" not in printed
