"""What a CSV file may be on request: each option does what it says, from every cursor, plain or compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins import registry
from elspeth.plugins.contract import Invalid
from elspeth.plugins.options import OptionProblems
from elspeth.plugins.sources import hashed_file
from elspeth.plugins.sources.files import FileSource
from elspeth.testing import check_source
from tests.kit.compressed import PACK
from tests.kit.pipelines.source_claims import check_resumable


def source(path: Path, plugin: str = "csv", **options: Any) -> FileSource:
    built = registry.build(registry.find("source", plugin), {"path": str(path), **options}, "source")
    assert isinstance(built, FileSource)
    return built


A = {"a": "1", "b": "2"}
CASES: list[tuple[bytes, dict[str, Any], list[Any]]] = [
    (b'a, b\n1, 2\n1,  "2"\n', {"initial_space": True}, [A, A]),
    (b'a,b\n1,x\\,y\n1,"say \\"so\\""\n', {"escapechar": "\\"}, [{"a": "1", "b": "x,y"}, {"a": "1", "b": 'say "so"'}]),
    (b'# one\n#two\na,b\n1,2\n# "three\n1,2\n1,"x\n# y"\n#', {"comment": "#"}, [A, A, {"a": "1", "b": "x\n# y"}]),
    (b'a,b\r1,2\r\r1,"x\ry\nz"\r1,2', {"line_end": "cr"}, [A, {"a": "1", "b": "x\ry\nz"}, A]),
    (b"a,b\n1\n1,2\n1,2,3\n", {"ragged": "pad"}, [{"a": "1", "b": None}, A, None]),
    (b"a,b\n1\n1,2\n1,2,3\n", {"ragged": "cut"}, [{"a": "1", "b": None}, A, A]),
    (
        b"a,b\n1\n1,2\n1,2,3,4\n",
        {"ragged": "keep"},
        [{"a": "1", "b": None, "_rest": None}, {**A, "_rest": None}, {**A, "_rest": ["3", "4"]}],
    ),
    (b"a,b\n1\n1,2,3\n", {}, [None, None]),
    ("a,b\r1,2\r§ x\r1,2".encode("utf-16"), {"encoding": "utf-16", "line_end": "cr", "comment": "§"}, [A, A]),
]


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(("content", "options", "expected"), CASES)
def test_each_option_does_what_it_says_from_every_cursor(
    content: bytes, options: dict[str, Any], expected: list[Any], suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACK[suffix](content) if suffix else content)
    found = [row for row, _ in source(path, **options).read(None)]
    assert [None if isinstance(row, Invalid) else row for row in found] == expected
    headers = source(path, **options).describe().headers or {}
    assert all(row.keys() == headers.keys() for row in found if isinstance(row, dict))
    check_source(source(path, **options))
    for block in (1, 4):
        with patch.object(hashed_file, "BLOCK_BYTES", block):
            assert check_resumable(lambda: source(path, **options)) == found


def test_the_line_of_a_row_counts_comments(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("# x\na,b\n# y\n1,2\n")
    made = source(tmp_path / "t.csv", comment="#")
    assert [made.line(cursor) for _, cursor in made.read(None)] == [4]


def test_line_ends_of_a_carriage_return_alone_are_refused_with_the_option_to_set(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"a,b\r1,2\r")
    with pytest.raises(SettingsError) as caught:
        source(tmp_path / "t.csv").describe()
    assert caught.value.next_step == "Set line_end: cr."


@pytest.mark.parametrize(
    "options", [{"escapechar": '"'}, {"escapechar": "ab"}, {"comment": ""}, {"ragged": "perhaps"}, {"line_end": "\r"}]
)
def test_options_that_make_no_sense_are_problems(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(OptionProblems):
        source(tmp_path / "t.csv", **options)


def test_the_field_for_the_rest_must_not_be_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,_rest\n1,2\n")
    with pytest.raises(SettingsError, match="ragged: keep"):
        source(tmp_path / "t.csv", ragged="keep").describe()


JSON: list[tuple[bytes, list[Any]]] = [
    (b'{"a": 1}{"a": 2} {"a":\n3}\n', [{"a": 1}, {"a": 2}, {"a": 3}]),
    (b'{\n  "a": [1,\n 2]\n}\n', [{"a": [1, 2]}]),
    (b'\xef\xbb\xbf{"a": "}{"}', [{"a": "}{"}]),
    (b'{"a": 1} [2] {"a": 3}', [{"a": 1}, None, {"a": 3}]),
    (b'{"a": 1}, {"a": 2}', [{"a": 1}, None]),
    (b'{"a": 1} {"a":', [{"a": 1}, None]),
    (b'{"a": 1, "a": 2} {"a": 3}', [None, {"a": 3}]),
    (b"\n", []),
]


@pytest.mark.parametrize(("content", "expected"), JSON)
def test_concatenated_json_is_read_from_every_cursor(content: bytes, expected: list[Any], tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_bytes(content)
    found = [row for row, _ in source(path, "json", format="concatenated").read(None)]
    assert [None if isinstance(row, Invalid) else row for row in found] == expected
    check_source(source(path, "json", format="concatenated"), may_be_empty=True)
    with patch.object(hashed_file, "BLOCK_BYTES", 3):
        assert check_resumable(lambda: source(path, "json", format="concatenated")) == found


def test_one_object_per_file_in_a_folder(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.json").write_text(f'{{\n  "a": {number}\n}}\n')
    made = source(tmp_path, "json", format="concatenated", file_field="f")
    assert [row for row, _ in made.read(None)] == [{"a": n, "f": str(tmp_path / f"{n}.json")} for n in range(3)]
    check_source(source(tmp_path, "json", format="concatenated", file_field="f"))


def test_a_key_of_an_array_has_no_meaning_there(tmp_path: Path) -> None:
    with pytest.raises(OptionProblems):
        source(tmp_path / "t.json", "json", format="concatenated", data_key="x")


def test_comments_behind_the_last_row_are_no_growth_and_rows_are(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id\n1\n# of\n\n# the end\n")
    made = source(path, comment="#")
    *_, (_, cursor) = made.read(None)
    assert made.said_at_end() is None
    assert source(path, comment="#").grown(cursor) is None
    path.write_text("id\n1\n# of\n\n# the end\n2\n")
    assert "has grown by" in str(source(path, comment="#").grown(cursor))
    path.write_text("# nothing\n")
    nothing = source(path, comment="#")
    assert list(nothing.read(None)) == []
    assert (nothing.said_at_end(), nothing.grown(None)) == (None, None)
