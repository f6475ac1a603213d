"""The edges of JSON sources: new names, digits, keys given twice, rows that are too long, files that have grown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Invalid
from elspeth.plugins.sources.json_source import JsonFile, JsonOptions, JsonSource


def source(path: Path, text: str, **options: Any) -> JsonSource:
    path.write_text(text)
    return JsonSource(JsonOptions(path=path, **options))


def rows(path: Path, text: str, **options: Any) -> list[Any]:
    return [row for row, _ in source(path, text, **options).read(None)]


def test_fields_get_new_names_and_two_of_one_name_are_no_row(tmp_path: Path) -> None:
    text = '[{"a": 1, "b": 2},\n{"ä": "é",\n"a": 3}, 7]'
    found = rows(tmp_path / "in.json", text, field_mapping={"ä": "a", "b": "c"})
    assert found[0] == {"a": 1, "c": 2}
    assert found[1] == Invalid(
        '{"ä": "é", "a": 3}', "has two fields that field_mapping calls 'a'", 2, {"ä": "é", "a": 3}
    )  # fmt: skip
    assert "not an object" in found[2].error
    made = JsonSource(JsonOptions(path=tmp_path / "in.json", field_mapping={"b": "c"}))
    assert (made.field_of("b"), made.field_of("a")) == ("c", "a")


def test_numbers_of_decimal_fields_keep_their_digits_under_their_new_names_too(tmp_path: Path) -> None:
    schema = {"mode": "flexible", "fields": ["price: decimal", "n: float"]}
    text = '{"cost": 1.10, "price": 2.50, "n": 3.50, "m": 4.50}\n{"cost": 1}\n'
    for mapping, price in (({}, "2.50"), ({"cost": "price", "price": "old"}, "1.10")):
        first, _ = rows(tmp_path / "in.jsonl", text, schema=schema, field_mapping=mapping)
        assert first["price"] == price
        assert first["n"] == 3.5
        assert first["m"] == 4.5
    first, second = rows(tmp_path / "in.jsonl", text, schema=schema, field_mapping={"cost": "price", "price": "old"})
    assert first["old"] == 2.5
    assert second == {"price": 1}


@pytest.mark.parametrize(
    ("text", "twice"),
    [
        ('{"a": 1, "b": {"c": 1, "c": 2}}', "c"),
        ('{"a": [{"d": 1}, {"d": 1, "d": 2}]}', "d"),
        ('{"a": 1, "b": 2, "a": 3}', "a"),
        ('{"a": "\\"x\\":", "b": {"a": 1}}', None),
        ('{"a": {}, "b": []}', None),
    ],
)
def test_a_key_that_stands_twice_is_found_wherever_it_stands(text: str, twice: str | None, tmp_path: Path) -> None:
    [found] = rows(tmp_path / "in.jsonl", text + "\n")
    assert isinstance(found, Invalid) == (twice is not None)
    if twice is not None:
        assert found == Invalid(text + "\n", f"has the key {twice!r} twice", 1)
    [found] = rows(tmp_path / "in.jsonl", text + "\n", duplicate_keys="last")
    assert isinstance(found, dict)


@pytest.mark.parametrize("form", ["jsonl", "json"])
def test_a_row_may_have_so_many_bytes_and_no_more(form: str, tmp_path: Path) -> None:
    element = '{"a": "' + "x" * 91 + '"}'
    assert len(element) == 100
    text = f"{element}\n{element[:-2]}y{element[-2:]}\n" if form == "jsonl" else f'[{element}, {element[:-2]}y"}}]'
    bytes_allowed = 101 if form == "jsonl" else 100  # a line is counted with its end
    first, second = rows(tmp_path / f"in.{form}", text, max_row_bytes=bytes_allowed)
    assert isinstance(first, dict)
    assert isinstance(second, Invalid)
    assert f"bytes where max_row_bytes allows {bytes_allowed:,}" in second.error


def test_a_row_can_hold_its_text_and_one_that_has_the_field_already_is_refused(tmp_path: Path) -> None:
    first, second = rows(tmp_path / "in.jsonl", '{"a":1}\n{"raw":2}\n', raw="raw")
    assert first == {"a": 1, "raw": '{"a":1}'}
    assert second == Invalid('{"raw":2}\n', "has the field 'raw', which the option raw wants for it", 2)


@pytest.mark.parametrize(
    ("text", "options", "says"),
    [
        ('{"a": 1}', {}, "holds no JSON array: it begins with '{'"),
        ("[1]", {"data_key": "x"}, "holds no array under 'x': it begins with '['"),
        (" \n 7", {}, "it begins with '7'"),
    ],
)
def test_a_file_that_plainly_holds_something_else_is_refused_before_a_run(
    text: str, options: dict[str, Any], says: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        source(tmp_path / "in.json", text, **options).describe()
    assert caught.value.message.endswith(says)
    assert caught.value.next_step.startswith("Set data_key to where the array is, or format: jsonl")


@pytest.mark.parametrize(
    ("text", "options"), [("", {}), ("  \n", {}), ("\ufeff[]", {}), ('{"a": 1}{"a": 2}', {"format": "concatenated"}),
                          ('{"a": 1}\n', {"format": "jsonl"}), ('{"x": []}', {"data_key": "x"})]
)  # fmt: skip
def test_what_may_be_meant_is_not_refused(text: str, options: dict[str, Any], tmp_path: Path) -> None:
    assert source(tmp_path / "in.json", text, **options).describe().size_bytes == len(text.encode())


@pytest.mark.parametrize(
    ("before", "added", "options", "grown"),
    [
        ('[{"a": 1}]', "", {}, False), ('[{"a": 1}]', " \n", {}, False), ('[{"a": 1}]', "x", {}, True),
        ('{"x": [{"a": 1}]}', "more", {"data_key": "x"}, False),
        ('{"a": 1}\n', '{"a": 2}\n', {"format": "jsonl"}, True), ('{"a": 1}\n', "", {"format": "jsonl"}, False),
    ],
)  # fmt: skip
def test_bytes_behind_what_was_read_are_told_where_they_may_be_rows(
    before: str, added: str, options: dict[str, Any], grown: bool, tmp_path: Path
) -> None:
    path = tmp_path / "in.json"
    made = source(path, before, **options)
    *_, (_, cursor) = made.read(None)
    with path.open("a") as file:
        file.write(added)
    found = JsonFile(JsonOptions(path=path, **options)).grown(cursor)
    assert bool(found) == grown


@pytest.mark.parametrize(("text", "grown"), [("[]", False), (" [ ] ", False), ("[7]", True)])
def test_an_empty_array_has_nothing_that_was_not_read(text: str, grown: bool, tmp_path: Path) -> None:
    path = tmp_path / "in.json"
    path.write_text(text)
    assert bool(JsonFile(JsonOptions(path=path)).grown(None)) == grown
