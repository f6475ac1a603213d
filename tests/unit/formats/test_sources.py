"""Sources as files of this format know them."""

from __future__ import annotations

from pathlib import Path

import pytest

from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource
from elspeth.plugins.sources.text_source import TextOptions, TextSource
from elspeth.schema import RowSchema, SchemaError, compile_reader
from elspeth.settings import effective


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
