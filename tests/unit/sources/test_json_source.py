"""The json source: arrays as streams, lines, and everything that is no row."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.errors import SettingsError, SourceChanged
from elspeth.plugins.contract import Invalid
from elspeth.plugins.sources import hashed_file
from elspeth.plugins.sources.json_source import JsonOptions, JsonSource
from tests.kit.pipelines.source_claims import check_resumable, most_held


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[..., list[Any]]:
    def read(content: bytes | str, **options: Any) -> list[Any]:
        path = tmp_path / "input.json"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return check_resumable(lambda: JsonSource(JsonOptions(path=path, **options)))

    return read


def lines_and_errors(rows: list[Any]) -> list[Any]:
    return [(row.line, row.error) if isinstance(row, Invalid) else row for row in rows]


def test_the_objects_of_an_array_are_the_rows(rows_of: Any) -> None:
    text = '\ufeff [ {"a": 1, "b": [1, {"c": "]}"}]} ,\n{"a": "x\\"y{"}\n]\n'
    assert rows_of(text) == [{"a": 1, "b": [1, {"c": "]}"}]}, {"a": 'x"y{'}]


@pytest.mark.parametrize("text", ["[]", " [ ] \n", '{"data": {"x": 1, "items": []}}'])
def test_an_empty_array_has_no_rows(rows_of: Any, text: str) -> None:
    assert rows_of(text, data_key="data.items" if "data" in text else None) == []


def test_an_array_deep_in_an_object_is_found(rows_of: Any) -> None:
    text = (
        '{"meta": {"data": {"items": [7]}, "s": "}\\""}, "n": -1.5e3, "data": {"x": [], "items": [{"a": 1}]}, "z": 2}'
    )
    assert rows_of(text, data_key="data.items") == [{"a": 1}]


def test_lines_are_rows_with_format_jsonl_or_by_the_name_of_the_file(rows_of: Any, tmp_path: Path) -> None:
    assert rows_of('{"a": 1}\r\n\n{"a": 2}', format="jsonl") == [{"a": 1}, {"a": 2}]
    assert JsonOptions(path=tmp_path / "x.ndjson").by_line
    assert not JsonOptions(path=tmp_path / "x.ndjson", format="json").by_line


def test_whole_numbers_keep_all_their_digits(rows_of: Any) -> None:
    big = 123456789012345678901234567890
    assert rows_of(json.dumps([{"n": big, "m": -big, "s": str(big), "f": 0.1}])) == [
        {"n": big, "m": -big, "s": str(big), "f": 0.1}
    ]


def test_an_object_with_a_key_twice_is_no_row_unless_the_last_value_is_asked_for(rows_of: Any) -> None:
    (refused,) = rows_of('[{"a": 1, "a": 2}]')
    assert refused.error == "has the key 'a' twice"
    assert rows_of('[{"a": 1, "a": 2}]', duplicate_keys="last") == [{"a": 2}]


@pytest.mark.parametrize("bad", ["NaN", "Infinity", "-Infinity", "1e400", '"\\ud800"', "01", "tru", "'x'", "9" * 5000])
def test_what_json_does_not_allow_costs_one_element(rows_of: Any, bad: str) -> None:
    for options, text in (({}, '[{"a": %s},\n{"b": 1}]'), ({"format": "jsonl"}, '{"a": %s}\n{"b": 1}\n')):
        rows = rows_of(text % bad, **options)
        assert rows[0].error.startswith("is not JSON: ")
        assert rows[0].line == 1
        assert rows[1:] == [{"b": 1}]


def test_elements_that_are_no_objects_are_invalid(rows_of: Any) -> None:
    elements = ["1", "-2.5", '"x,]"', "null", "true", "[1, [2]]"]
    kinds = ["a number", "a number", "text", "null", "true or false", "an array"]
    expected = [Invalid(raw, f"is {kind}, not an object", 1) for raw, kind in zip(elements, kinds, strict=True)]
    assert rows_of("[" + ", ".join(elements) + "]") == expected
    lines = [Invalid(e.raw + "\n", e.error, i) for i, e in enumerate(expected, 1)]
    assert rows_of("\n".join(elements) + "\n", format="jsonl") == lines


@pytest.mark.parametrize(
    ("text", "complete", "raw", "words"),
    [
        ('[{"a": 1},\n{"a": 2', 1, '{"a": 2', "the file ends in the middle of an element"),
        ('[{"a": 1},\n{"a": "2\\', 1, '{"a": "2\\', "the file ends in the middle of an element"),
        ('[{"a": 1}\n', 1, "", "the file ends where a comma or the closing bracket must follow"),
        ('[{"a": 1},\n', 1, "", "the file ends where an element must follow"),
        ("[\n", 0, "", "the file ends where an element must follow"),
        ("\n", 0, "", "the file ends where an array must follow"),
    ],
)
def test_json_that_ends_in_the_middle_gives_its_complete_rows_and_one_invalid(
    rows_of: Any, text: str, complete: int, raw: str, words: str
) -> None:
    assert rows_of(text) == [{"a": 1}] * complete + [Invalid(raw, words, 2)]


@pytest.mark.parametrize(
    ("text", "rest", "words"),
    [
        (
            '[{"a": 1} {"a": 2}]',
            '{"a": 2}]',
            "a comma or the closing bracket is expected here; the rest cannot be read",
        ),
        ('[{"a": 1},]', "]", "an element is expected here; the rest cannot be read"),
        ('[{"a": 1}] [2]', "[2]", "nothing may follow the array; the rest cannot be read"),
    ],
)
def test_broken_grammar_between_elements_ends_in_one_invalid(rows_of: Any, text: str, rest: str, words: str) -> None:
    assert rows_of(text) == [{"a": 1}, Invalid(rest, words, 1)]


def test_an_element_beyond_the_limit_is_invalid_and_the_next_is_read(rows_of: Any) -> None:
    long = '{"a": "' + 'x\\\\\\"' * 30 + '",\n"b": [1]}'
    rows = rows_of(f'[{{"a": 1}}, {long},\n{{"a": 2}}, {long[:99]}', max_row_bytes=64)
    assert lines_and_errors(rows) == [
        {"a": 1},
        (1, f"has {len(long)} bytes where max_row_bytes allows 64"),
        {"a": 2},
        (3, "the file ends in the middle of an element"),
    ]
    assert [row.raw for row in rows if isinstance(row, Invalid)] == [long[:64]] * 2
    assert lines_and_errors(rows_of('{"a": 1}\n{"a": "' + "x" * 80 + '"}\n', format="jsonl", max_row_bytes=64)) == [
        {"a": 1}, (2, "has 90 bytes where max_row_bytes allows 64"),
    ]  # fmt: skip


def test_memory_does_not_grow_with_an_element_that_is_too_long(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    with path.open("wb") as file:
        file.write(b'[{"a": "')
        for _ in range(30):
            file.write(b"x" * 1_000_000)
        file.write(b'"}, {"a": 1}, oops')
        for _ in range(10):
            file.write(b"[" * 1_000_000)
    source = JsonSource(JsonOptions(path=path, max_row_bytes=2_000_000))
    with most_held() as held:
        rows = [row for row, _ in source.read(None)]
    assert lines_and_errors(rows)[1:] == [
        {"a": 1},
        (1, "the file ends in the middle of an element"),
    ]
    assert [len(row.raw) for row in rows if isinstance(row, Invalid)] == [hashed_file.RAW_BYTES] * 2
    assert max(held) <= 2_000_000 + 2 * hashed_file.BLOCK_BYTES
    assert source.proof() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_memory_does_not_grow_with_a_rest_that_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_bytes(b'[{"a": 1} oops' + b"x" * 20_000_000)
    source = JsonSource(JsonOptions(path=path, max_row_bytes=2_000_000))
    with most_held() as held:
        rows = [row for row, _ in source.read(None)]
    assert len(rows) == 2
    assert max(held) <= 2 * hashed_file.BLOCK_BYTES


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ('{"a": 1}', None, "holds no JSON array"),
        ("7", None, "holds no JSON array"),
        ('{"rows": [], "n": 1}', "data", "there is no 'data' in the file; it holds 'rows', 'n'"),
        ('{"data": {"rows": []}}', "data.items", "there is no 'items' in data; it holds 'rows'"),
        ('{"data": 1}', "data", "no array under 'data'"),
        ('{"data": 1}', "data.items", "data holds no object in which 'items' could be looked up"),
    ],
)
def test_a_file_without_the_array_is_an_error_of_the_settings(rows_of: Any, text: str, key: str, words: str) -> None:
    with pytest.raises(SettingsError) as caught:
        rows_of(text, data_key=key)
    assert words in caught.value.message
    assert "data_key" in caught.value.next_step


def test_describe_sees_at_once_that_there_is_no_array(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text('{"a": []}')
    with pytest.raises(SettingsError, match="no JSON array"):
        JsonSource(JsonOptions(path=path)).describe()
    assert JsonSource(JsonOptions(path=path, data_key="a")).describe().size_bytes == 9


def test_a_truncated_file_that_was_completed_later_is_a_changed_one(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text('[{"a": 1}, {"a"')
    source = JsonSource(JsonOptions(path=path))
    *_, (_, cursor) = source.read(None)
    proof = source.proof()
    path.write_text('[{"a": 1}, {"a": 2}]')
    with pytest.raises(SourceChanged, match="has grown"):
        JsonSource(JsonOptions(path=path)).check(cursor, proof)


@pytest.mark.parametrize(
    "options", [{"format": "xml"}, {"format": "jsonl", "data_key": "a"}, {"encoding": "latin-1"}, {"datakey": "a"}]
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        JsonOptions(path=Path("x.json"), **options)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
    st.sampled_from(['"', "\\", "]}"]),
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(st.text('ab"\\[{', max_size=2), v))
OBJECTS = st.lists(st.dictionaries(st.text('ab"\\]', max_size=2), VALUES, max_size=3), max_size=5)


@settings(max_examples=100)
@given(OBJECTS, st.sampled_from([None, 1]), st.booleans(), st.booleans(), st.integers(1, 30))
def test_whatever_the_json_module_writes_is_read_back(
    rows: list[Any], indent: int | None, ascii: bool, nested: bool, block: int
) -> None:
    value = {"x": rows, "d": {"ata": rows}} if nested else rows
    with tempfile.TemporaryDirectory() as folder, patch.object(hashed_file, "BLOCK_BYTES", block):
        path = Path(folder, "input.json")
        path.write_text(json.dumps(value, indent=indent, ensure_ascii=ascii), encoding="utf-8")
        options = JsonOptions(path=path, data_key="d.ata" if nested else None)
        assert check_resumable(lambda: JsonSource(options)) == rows


PIECES = [*rb"""[ ] { } " \ , : 1 {"a":1} {"a":1}, {"a":"b\"""".split(), b"\n", b" ", b"\xff"]


@pytest.mark.parametrize("form", ["json", "jsonl"])
@settings(max_examples=150)
@given(pieces=st.lists(st.sampled_from(PIECES)))
def test_garbage_is_read_alike_whatever_the_blocks_and_wherever_it_is_resumed(form: Any, pieces: list[bytes]) -> None:
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "input")
        path.write_bytes((b"[" if form == "json" else b"") + b"".join(pieces))
        options = JsonOptions(path=path, format=form, max_row_bytes=9)
        for block in (1, 3, 1 << 20):
            with patch.object(hashed_file, "BLOCK_BYTES", block):
                results.append(check_resumable(lambda: JsonSource(options)))
    assert results[0] == results[1] == results[2]


def test_an_object_of_several_lines_is_said_to_begin_at_its_first(tmp_path: Path) -> None:
    path = tmp_path / "input.json"
    path.write_text('[\n{"a":\n1},\n\n{"a": 2}\n]\n', encoding="utf-8")
    source = JsonSource(JsonOptions(path=path))
    assert [source.line(cursor) for _, cursor in source.read(None)] == [2, 5]
