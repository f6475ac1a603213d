"""Fields from a reference file: how records are found, and every file that is refused before a row is seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins import registry
from elspeth.plugins.contract import Context, RowError, SideOutput
from elspeth.plugins.options import OptionProblems
from elspeth.testing import check_transform

CONTEXT = Context("run", "step")
CUSTOMERS = "id,name,region\n7,Ada,north\n8,Grace,\n"


def build(file: Path, **options: Any) -> Any:
    given = {"path": str(file), "keys": {"customer": "id"}, "fields": {"name": "customer_name"}, **options}
    return registry.build(registry.find("transform", "lookup"), given, "step")


def ready(path: Path, text: str | bytes = CUSTOMERS, **options: Any) -> Any:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    plugin = build(path, **options)
    plugin.check_references()
    plugin.setup(CONTEXT)
    return plugin


@pytest.mark.parametrize("key", ["7", 7])
def test_a_record_is_found_by_the_text_of_its_key(key: Any, tmp_path: Path) -> None:
    plugin = ready(tmp_path / "c.csv", fields={"name": "customer_name", "region": "region"})
    assert plugin.process({"customer": key, "region": "old"}, CONTEXT) == {
        "customer": key, "region": "north", "customer_name": "Ada"
    }  # fmt: skip


def test_values_of_json_lines_keep_their_types_and_big_numbers_their_digits(tmp_path: Path) -> None:
    text = f'{{"id": 7, "name": [1, {{"a": null}}]}}\n\n{{"id": "8", "name": {2**80}}}\n'
    plugin = ready(tmp_path / "c.jsonl", text)
    assert plugin.process({"customer": 7}, CONTEXT)["customer_name"] == [1, {"a": None}]
    assert plugin.process({"customer": 8}, CONTEXT)["customer_name"] == 2**80


def test_several_keys_must_all_agree_and_are_not_run_together(tmp_path: Path) -> None:
    plugin = ready(tmp_path / "c.csv", "a,b,v\nx,yz,1\nxy,z,2\n", keys={"p": "a", "q": "b"}, fields={"v": "v"})
    assert plugin.process({"p": "xy", "q": "z"}, CONTEXT)["v"] == "2"
    with pytest.raises(RowError, match="has no record for p 'x', q 'z'"):
        plugin.process({"p": "x", "q": "z"}, CONTEXT)


@pytest.mark.parametrize("key", ["9", None, ""])
def test_a_key_that_is_not_there_is_an_error_or_nothing_or_the_end_of_the_row(key: Any, tmp_path: Path) -> None:
    row = {"customer": key}
    with pytest.raises(RowError, match="has no record for customer"):
        ready(tmp_path / "c.csv").process(row, CONTEXT)
    assert ready(tmp_path / "c.csv", on_missing="empty").process(row, CONTEXT) == {**row, "customer_name": None}
    dropped = ready(tmp_path / "c.csv", on_missing="drop").process(row, CONTEXT)
    assert isinstance(dropped, SideOutput)
    assert dict(dropped.details) == {"key": row}


@pytest.mark.parametrize(
    ("row", "words"),
    [({}, "the row has no field 'customer'"), ({"customer": [1]}, "field 'customer' is a list, which cannot be a key")],
)
def test_a_row_that_has_no_key_is_refused(row: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(RowError, match=words):
        ready(tmp_path / "c.csv").process(row, CONTEXT)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("c.csv", "id,name\n7,Ada\n8,Bob\n7,Eve\n", "line 4, has a key that stands there before: id '7'"),
        ("c.jsonl", '{"id": 7, "name": 1}\n{"id": "7", "name": 2}\n', "line 2, has a key that stands there before"),
        ("c.csv", "id,nam\n7,Ada\n", "line 2, has no column 'name'; did you mean 'nam'?"),
        ("c.csv", "", "line 1, has no header"),
        ("c.csv", "id,id,name\n", "line 1, has the column 'id' twice"),
        ("c.csv", "id,name\n7,Ada,x\n", "line 2, has 3 values where the header has 2 columns"),
        ("c.csv", 'id,name\n7,"Ada\n', "line 2, is no CSV: unexpected end of data"),
        ("c.csv", b"id,name\n7,\xff\n", "is not utf-8"),
        ("c.jsonl", '{"id": 7\n', "line 1, is no JSON"),
        ("c.jsonl", '{"id": 7, "id": 8, "name": 1}\n', "line 1, is no JSON: the key 'id' stands in it twice"),
        ("c.jsonl", '{"id": NaN, "name": 1}\n', "line 1, is no JSON: NaN is no JSON number"),
        ("c.jsonl", "[1]\n", "line 1, holds no JSON object"),
        ("c.jsonl", '{"id": null, "name": 1}\n', "line 1, has null as key in 'id'"),
        ("c.jsonl", '{"id": [7], "name": 1}\n', "line 1, has a list or a mapping as key in 'id'"),
        ("c.jsonl", '{"name": 1}\n', "line 1, has no column 'id'"),
    ],
)
def test_a_file_in_which_not_everything_is_good_is_refused_by_line(
    name: str, text: str | bytes, words: str, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError) as caught:
        ready(tmp_path / name, text)
    assert words in caught.value.message
    assert str(tmp_path / name) in caught.value.message


def test_a_file_that_is_not_there_or_no_file_is_said_to_be_so(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file or directory"):
        build(tmp_path / "none.csv").check_references()
    with pytest.raises(SettingsError, match="is no regular file"):
        build(tmp_path, format="csv").check_references()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "x.txt"}, "has none of the suffixes .csv, .jsonl, .ndjson; set `format`"),
        ({"fields": {"a": "x", "b": "x"}}, "two columns become 'x'"),
        ({"keys": {}}, "keys"),
        ({"on_missing": "skip"}, "allowed is 'error', 'empty' or 'drop'"),
        ({"delimiter": ";;"}, "delimiter"),
    ],
)
def test_options_that_say_too_little_or_too_much_are_refused(
    options: dict[str, Any], words: str, tmp_path: Path
) -> None:
    with pytest.raises(OptionProblems) as caught:
        build(tmp_path / "c.csv", **options)
    assert words in str(caught.value.details)


@pytest.mark.parametrize("on_missing", ["error", "empty", "drop"])
def test_the_contract_is_kept_whatever_happens_to_missing_ones(on_missing: str, tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text(CUSTOMERS)
    rows = [{"customer": "7"}, {"customer": 8, "customer_name": "x"}, {"customer": "9"}, {"customer": {}}, {}]
    check_transform(build(tmp_path / "c.csv", on_missing=on_missing), rows)


def test_other_encodings_and_delimiters_and_a_mark_of_byte_order(tmp_path: Path) -> None:
    plugin = ready(tmp_path / "c.csv", "id;name\n7;Zoë\n".encode("cp1252"), encoding="cp1252", delimiter=";")
    assert plugin.process({"customer": 7}, CONTEXT)["customer_name"] == "Zoë"
    assert ready(tmp_path / "c.csv", b"\xef\xbb\xbf" + CUSTOMERS.encode()).process({"customer": 7}, CONTEXT)


def test_quoted_values_over_several_lines_are_one_record_and_errors_name_the_line_on_which_theirs_begins(
    tmp_path: Path,
) -> None:
    with pytest.raises(SettingsError, match="line 4, has a key that stands there before"):
        ready(tmp_path / "c.csv", 'id,name\n7,"two\nlines"\n7,x\n')
