"""The text source, and the source without rows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.plugins.contract import Invalid, PluginOptions, SourceInfo
from elspeth.plugins.sources import hashed_file
from elspeth.plugins.sources.null_source import NullSource
from elspeth.plugins.sources.text_source import TextOptions, TextSource
from tests.kit.pipelines.source_claims import check_resumable

AS_IT_IS: dict[str, Any] = {"strip_whitespace": False, "skip_blank_lines": False}


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[..., list[Any]]:
    def read(content: bytes | str, **options: Any) -> list[Any]:
        path = tmp_path / "input.txt"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return check_resumable(lambda: TextSource(TextOptions(path=path, **{**AS_IT_IS, **options})))

    return read


def test_every_line_is_a_row_and_nothing_is_changed_unless_asked_for(rows_of: Any) -> None:
    assert rows_of("\ufeff one \r\n\n\ttwo\r") == [{"text": " one "}, {"text": ""}, {"text": "\ttwo\r"}]
    assert rows_of(" one \r\n\n \n\ttwo", column="line", strip_whitespace=True, skip_blank_lines=True) == [
        {"line": "one"},
        {"line": "two"},
    ]


def test_only_a_line_feed_ends_a_line(rows_of: Any) -> None:
    assert rows_of("a\u2028b\x0cc\x85d\re\n") == [{"text": "a\u2028b\x0cc\x85d\re"}]


def test_lines_in_utf_16(rows_of: Any) -> None:
    assert rows_of("a\u0a0a\r\n\u0d00b\n".encode("utf-16"), encoding="utf-16") == [
        {"text": "a\u0a0a"},
        {"text": "\u0d00b"},
    ]


def test_what_is_no_text_is_invalid_with_its_line(rows_of: Any) -> None:
    rows = rows_of(b"a\nb\0\n\xff\n" + b"x" * 20 + b"\nc\n" + b"y" * 17, max_row_bytes=16)
    assert [(r.line, r.error) if isinstance(r, Invalid) else r["text"] for r in rows] == [
        "a",
        (2, "contains a NUL byte"),
        (3, "is not utf-8: invalid start byte at byte 1 of the line"),
        (4, "has 21 bytes where max_row_bytes allows 16"),
        "c",
        (6, "has 17 bytes where max_row_bytes allows 16"),
    ]


def test_options_that_make_no_sense_are_refused() -> None:
    for options in ({"column": ""}, {"encoding": "klingon"}, {"colum": "x"}):
        with pytest.raises(ValidationError):
            TextOptions.model_validate({"path": "x", **options})


@settings(max_examples=100)
@given(st.lists(st.text(st.sampled_from("ab \r\x0b\u2028\x85é"))), st.booleans(), st.integers(1, 20))
def test_whatever_lines_there_are_they_are_read_back(lines: list[str], ended: bool, block: int) -> None:
    text = "\n".join(lines) + ("\n" if ended and lines else "")
    with tempfile.TemporaryDirectory() as folder, patch.object(hashed_file, "BLOCK_BYTES", block):
        path = Path(folder, "input.txt")
        path.write_bytes(text.encode())
        rows = check_resumable(lambda: TextSource(TextOptions(path=path, **AS_IT_IS)))
    whole, _, rest = text.rpartition("\n")
    expected = [line.removesuffix("\r") for line in whole.split("\n")] if "\n" in text else []
    assert [row["text"] for row in rows] == expected + ([rest] if rest else [])


def test_the_null_source_has_no_rows_and_nothing_to_prove() -> None:
    source = NullSource(PluginOptions())
    assert list(source.read(None)) == []
    assert source.proof() is None
    assert source.describe() == SourceInfo()
