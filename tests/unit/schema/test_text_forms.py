"""How an input spells its values: options of sources, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.plugins.options import OptionProblems, check
from elspeth.plugins.sources.csv_source import CsvSource
from elspeth.plugins.sources.json_source import JsonSource
from elspeth.plugins.sources.text_source import TextSource
from elspeth.schema import RowSchema, SchemaError, compile_reader
from elspeth.schema.text_forms import DateForm, TextForms

SCHEMA = ["t: datetime?", "d: date?", "p: decimal?", "n: int?", "x: float?", "b: bool?"]


def read(forms: TextForms, **row: str) -> dict[str, Any]:
    return compile_reader(RowSchema.parse({"mode": "free", "fields": SCHEMA}), forms)(dict(row))


def berlin(**more: Any) -> TextForms:
    return TextForms(dates={"t": DateForm("%d.%m.%Y %H:%M", "Europe/Berlin", **more)})


def test_a_time_gets_the_offset_of_its_zone_on_that_day() -> None:
    assert read(berlin(), t="01.03.2024 09:30")["t"] == "2024-03-01T09:30:00+01:00"
    assert read(berlin(), t="01.07.2024 09:30")["t"] == "2024-07-01T09:30:00+02:00"


def test_an_iso_time_with_an_offset_of_its_own_keeps_it() -> None:
    forms = TextForms(dates={"t": DateForm(timezone="Europe/Berlin")})
    assert read(forms, t="2024-07-01T09:30-05:00")["t"] == "2024-07-01T09:30:00-05:00"
    assert read(forms, t="2024-07-01T09:30")["t"] == "2024-07-01T09:30:00+02:00"


@pytest.mark.parametrize(
    ("text", "choice", "expected"),
    [
        ("27.10.2024 02:30", "earlier", "2024-10-27T02:30:00+02:00"),
        ("27.10.2024 02:30", "later", "2024-10-27T02:30:00+01:00"),
        ("31.03.2024 02:30", "later", "2024-03-31T03:30:00+02:00"),
        ("31.03.2024 02:30", "earlier", "2024-03-31T01:30:00+01:00"),
    ],
)
def test_an_hour_that_is_there_twice_or_not_at_all_is_refused_unless_it_is_said_which(
    text: str, choice: Any, expected: str
) -> None:
    with pytest.raises(SchemaError, match=r"in Europe/Berlin clocks (showed that time twice|never showed that time)"):
        read(berlin(), t=text)
    assert read(berlin(ambiguous=choice, nonexistent=choice), t=text)["t"] == expected


NUMBERS = [
    ({"decimal_comma": True}, "1234,50", "1234.50"),
    ({"decimal_comma": True, "thousands_separator": "."}, "1.234.567,89", "1234567.89"),
    ({"decimal_comma": True, "thousands_separator": "."}, "-1.234", "-1234"),
    ({"thousands_separator": ","}, "1,234.5", "1234.5"),
    ({"thousands_separator": "'"}, "1'234.5", "1234.5"),
    ({"decimal_comma": True, "thousands_separator": " "}, "1\u202f234\u00a0567,5", "1234567.5"),
    ({"decimal_comma": True, "thousands_separator": "."}, "1234,5", "1234.5"),
]


@pytest.mark.parametrize(("options", "text", "usual"), NUMBERS)
def test_numbers_are_read_as_they_are_spelled(options: Any, text: str, usual: str) -> None:
    row = read(TextForms(**options), p=text, x=text)
    assert (row["p"], row["x"]) == (usual, float(usual))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"decimal_comma": True}, "12.5"),
        ({"decimal_comma": True, "thousands_separator": "."}, "12.34,5"),
        ({"decimal_comma": True, "thousands_separator": "."}, "1.2345"),
        ({"decimal_comma": True, "thousands_separator": "."}, "1.234.5"),
        ({"thousands_separator": ","}, "1,23"),
        ({"thousands_separator": ","}, ",123"),
        ({"thousands_separator": " "}, "1 23"),
    ],
)
def test_a_number_that_is_not_spelled_so_is_refused_with_what_is_said(options: Any, text: str) -> None:
    for name in ("p", "n", "x"):
        with pytest.raises(SchemaError, match="the decimal mark is"):
            read(TextForms(**options), **{name: text})


@given(st.integers(-(10**12), 10**12), st.integers(0, 3))
def test_what_is_written_with_separators_is_read_exactly(number: int, places: int) -> None:
    text = f"{number:,}".replace(",", ".") + ("," + "0" * places if places else "")
    row = read(TextForms(decimal_comma=True, thousands_separator="."), n=text, p=text)
    assert row["n"] == number
    assert row["p"] == str(number) + ("." + "0" * places if places else "")


def test_words_for_true_and_false_are_those_that_are_given() -> None:
    forms = TextForms(true_values=("Ja", "j"), false_values=("nein",))
    assert [read(forms, b=text)["b"] for text in ("ja", " J ", "NEIN", "")] == [True, True, False, None]
    with pytest.raises(SchemaError, match="found 'true': true are Ja, j, and false nein"):
        read(forms, b="true")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dates": {"tt": {"format": "%d.%m.%Y %H"}}}, "'tt' is no field that the schema calls date or datetime (did "
         "you mean 't'?)"),
        ({"dates": {"p": {"format": "%d.%m.%Y"}}}, "'p' is no field that the schema calls date or datetime"),
        ({"dates": {"d": {"timezone": "Europe/Berlin"}}}, "a date has no time, so it has no timezone"),
        ({"dates": {"t": {"timezone": "Europe/Berln"}}}, "'Europe/Berln' is no IANA time zone such as Europe/Berlin ("
         "did you mean 'Europe/Berlin'?)"),
        ({"dates": {"t": {"timezone": "../../etc/passwd"}}}, "is no IANA time zone"),
        ({"dates": {"t": {"format": "%d.%m.%y %H"}}}, "has years of two digits"),
        ({"dates": {"t": {"format": "%Q"}}}, "the unknown directive %Q"),
        ({"thousands_separator": "."}, "thousands_separator is '.', and so is the decimal mark"),
        ({"decimal_comma": True, "thousands_separator": ","}, "thousands_separator is ',', and so is the decimal mark"),
        ({"thousands_separator": "1"}, "which is part of a number"),
        ({"true_values": ["ja"]}, "false_values is missing"),
        ({"false_values": ["nein"]}, "true_values is missing"),
        ({"true_values": ["x", "Ja"], "false_values": ["nein", "ja"]}, "both have 'ja': a word means one of them"),
        ({"decimal_comma": True, "schema": {"mode": "free", "fields": ["a: str"]}}, "decimal_comma is for fields that "
         "the schema calls int, float or decimal"),
        ({"true_values": ["j"], "false_values": ["n"], "schema": {"fields": "dynamic"}}, "for fields that the schema "
         "calls bool"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("source", [CsvSource, JsonSource, TextSource])
def test_options_that_cannot_be_meant_are_refused_by_validate(source: Any, options: Any, words: str) -> None:
    more = {"column": "t"} if source is TextSource else {}
    schema = {"mode": "free", "fields": SCHEMA}
    with pytest.raises(OptionProblems) as caught:
        check(source, {"path": "in", "schema": schema, **more, **options}, "source")
    assert words in str(caught.value.problems[0])


def typed(source: Any, path: Path, **options: Any) -> list[dict[str, Any]]:
    plugin = source(check(source, {"path": path, **options}, "source"))
    reader = compile_reader(RowSchema.parse(options["schema"]), plugin.forms())
    return [reader(row) for row, _ in plugin.read(None)]


def test_every_file_source_takes_them(tmp_path: Path) -> None:
    dates = {"opened": {"format": "%d.%m.%Y %H:%M", "timezone": "Europe/Berlin"}}
    schema = {"mode": "fixed", "fields": ["opened: datetime", "price: decimal"]}
    options = {"schema": schema, "dates": dates, "decimal_comma": True, "thousands_separator": "."}
    expected = [{"opened": "2024-03-01T09:30:00+01:00", "price": "1234.50"}]
    csv, json, text = (tmp_path / name for name in ("a.csv", "a.json", "a.txt"))
    csv.write_text('opened,price\n01.03.2024 09:30,"1.234,50"\n')
    json.write_text('[{"opened": "01.03.2024 09:30", "price": "1.234,50"}]')
    text.write_text("01.03.2024 09:30\n")
    assert typed(CsvSource, csv, **options) == expected
    assert typed(JsonSource, json, **options) == expected
    one = {"mode": "fixed", "fields": ["opened: datetime"]}
    assert typed(TextSource, text, column="opened", dates=dates, schema=one) == [{"opened": expected[0]["opened"]}]


@pytest.mark.parametrize("name", ["a.json", "a.jsonl"])
def test_a_json_number_of_a_decimal_field_keeps_its_digits(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    row = '{"Price": 0.10, "x": 0.10, "big": 12345678901234567890.123456789012345678, "n": 7, "e": 1.50e2}'
    path.write_text(row if name == "a.jsonl" else f"[{row}]")
    schema = {"mode": "free", "fields": ["price: decimal", "x: float", "big: decimal", "n: decimal", "e: decimal"]}
    (found,) = typed(JsonSource, path, schema=schema, field_mapping={"Price": "price"})
    assert found == {"price": "0.10", "x": 0.1, "big": "12345678901234567890.123456789012345678", "n": "7", "e": "150"}
