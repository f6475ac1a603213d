"""Lines at the end of a file that are no rows: found before rows are read, however long, wide or packed they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elspeth.errors import SourceChanged
from elspeth.plugins import registry
from elspeth.plugins.contract import Invalid
from elspeth.plugins.options import OptionProblems
from elspeth.plugins.sources import hashed_file
from elspeth.plugins.sources.files import FileSource
from elspeth.plugins.sources.lines import Encoding, last_lines_at
from elspeth.testing import check_source
from tests.kit.compressed import PACK
from tests.kit.pipelines.source_claims import check_resumable

ROWS = 'id,n\n1,a\n2,"b\nb"\n\n3,c\n'
FOOTER = 'Total: "3\n\nprinted, by, somebody\n'


def source(path: Path, plugin: str = "csv", **options: Any) -> FileSource:
    built = registry.build(registry.find("source", plugin), {"path": str(path), **options}, "source")
    assert isinstance(built, FileSource)
    return built


def ids(made: FileSource) -> list[Any]:
    return ["?" if isinstance(row, Invalid) else row["id"] for row, _ in made.read(None)]


@pytest.mark.parametrize("ending", ["\n", ""], ids=["line end", "no line end"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("suffix", [".csv", *(f".csv{suffix}" for suffix in PACK)])
def test_the_last_lines_are_no_rows_and_rows_are_read_from_every_cursor(
    suffix: str, encoding: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / f"in{suffix}"
    data = (ROWS + FOOTER.removesuffix("\n") + ending).encode(encoding)
    path.write_bytes(PACK[path.suffix](data) if path.suffix in PACK else data)
    for block in (1 << 20, 6):
        with patch.object(hashed_file, "BLOCK_BYTES", block):
            found = check_resumable(lambda: source(path, skip_footer=3, encoding=encoding))
            assert [row["id"] for row in found] == ["1", "2", "3"]
    check_source(source(path, skip_footer=3, encoding=encoding))
    assert "?" in ids(source(path, encoding=encoding))


@pytest.mark.parametrize(("count", "expected"), [(1, "123?"), (4, "12"), (6, "1"), (7, ""), (8, ""), (100, "")])
def test_footers_of_other_lengths_take_lines_whatever_they_hold(count: int, expected: str, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(ROWS + FOOTER)
    found = ids(source(tmp_path / "in.csv", skip_footer=count))
    assert "".join(found)[: len(expected)] == expected
    assert len(found) <= len(expected) + 1


def test_text_and_lines_that_end_in_cr_have_footers_too(tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\nc\nend of list")
    text = source(tmp_path / "in.txt", "text", skip_footer=2)
    assert [row["text"] for row, _ in text.read(None)] == ["a", "b"]
    check_source(source(tmp_path / "in.txt", "text", skip_footer=2))
    (tmp_path / "in.csv").write_bytes(b"id\r1\r2\rend")
    assert ids(source(tmp_path / "in.csv", skip_footer=1, line_end="cr")) == ["1", "2"]


def test_every_file_of_many_has_its_own(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.csv").write_text(f"id\n{name}1\n{name}2\nend\n")
    made = source(tmp_path / "*.csv", skip_footer=1)
    assert ids(made) == ["a1", "a2", "b1", "b2"]
    assert check_resumable(lambda: source(tmp_path / "*.csv", skip_footer=1))


def test_a_footer_that_is_there_is_no_growth_and_rows_before_it_are(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id\n1\n2\nend\n")
    made = source(path, skip_footer=1)
    *_, (_, cursor) = made.read(None)
    assert made.said_at_end() is None
    assert made.grown(cursor) is None
    assert source(path, skip_footer=1).grown(cursor) is None
    path.write_text("id\n1\n2\n3\nend\n")
    assert "has grown by" in str(made.said_at_end())
    assert "has grown by 2 bytes" in str(source(path, skip_footer=1).grown(cursor))
    with pytest.raises(SourceChanged):
        source(path, skip_footer=1).check([*cursor], "0" * 64)


def test_a_file_that_grows_while_it_is_read_keeps_the_footer_it_had(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id\n1\n2\nend\n")
    made = source(path, skip_footer=1)
    rows = made.read(None)
    next(rows)
    with path.open("a") as file:
        file.write("3\nend\n")
    assert [row["id"] for row, _ in rows] == ["2"]


def test_a_footer_of_one_endless_line_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "in.csv"
    path.write_text("id\n1\n2\n" + "x" * 100_000)
    with patch.object(hashed_file, "BLOCK_BYTES", 1000):
        assert ids(source(path, skip_footer=1, max_row_bytes=10)) == ["1", "2"]


@given(st.binary(max_size=40).map(lambda data: data.replace(b"\x07", b"\n")), st.integers(1, 5), st.integers(1, 7))
def test_the_place_is_where_the_last_lines_begin(data: bytes, count: int, step: int) -> None:
    blocks = [data[at : at + step] for at in range(0, len(data), step)]
    lines = [line + b"\n" for line in data.split(b"\n")[:-1]] + ([rest] if (rest := data.split(b"\n")[-1]) else [])
    expected = sum(map(len, lines[: max(0, len(lines) - count)]))
    assert last_lines_at(blocks, Encoding("utf-8", 0, b"\n", 1), count) == expected


@given(st.text("a\n\u0a0a\u000a\u0100", max_size=20), st.integers(1, 4), st.integers(1, 5))
def test_the_same_where_a_character_has_two_bytes(text: str, count: int, step: int) -> None:
    data = text.encode("utf-16-le")
    blocks = [data[at : at + step] for at in range(0, len(data), step)]
    parts = text.split("\n")
    lines = [part + "\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])
    expected = sum(len(line.encode("utf-16-le")) for line in lines[: max(0, len(lines) - count)])
    assert last_lines_at(blocks, Encoding("utf-16-le", 0, b"\n\0", 2), count) == expected


def test_a_number_that_is_none_is_refused(tmp_path: Path) -> None:
    for wrong in (-1, 1001):
        with pytest.raises(OptionProblems):
            source(tmp_path / "in.csv", skip_footer=wrong)
