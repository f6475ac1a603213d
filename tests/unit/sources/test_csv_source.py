"""The csv source: what it reads, what it refuses, and that it can go on from anywhere."""

from __future__ import annotations

import csv
import hashlib
import io
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from elspeth.errors import SettingsError
from elspeth.plugins.contract import Invalid
from elspeth.plugins.sources import csv_records, hashed_file
from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource
from tests.kit.pipelines.source_claims import check_resumable, most_held


@pytest.fixture
def rows_of(tmp_path: Path) -> Callable[..., list[Any]]:
    def read(content: bytes | str, **options: Any) -> list[Any]:
        path = tmp_path / "input.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return check_resumable(lambda: CsvSource(CsvOptions(path=path, **options)))

    return read


def lines_and_errors(rows: list[Any]) -> list[Any]:
    return [(row.line, row.error) if isinstance(row, Invalid) else row for row in rows]


def test_a_row_is_a_dict_of_text_in_the_order_of_the_header(rows_of: Any) -> None:
    rows = rows_of("id,amount\n1,900\n2,1500\n")
    assert rows == [{"id": "1", "amount": "900"}, {"id": "2", "amount": "1500"}]
    assert list(rows[0]) == ["id", "amount"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quoted_fields_may_hold_line_ends_delimiters_and_quotes(rows_of: Any, end: str) -> None:
    text = end.join(["a,b", '"x,y","say ""hi"""', f'"two{end}lines",z', ""])
    assert rows_of(text) == [{"a": "x,y", "b": 'say "hi"'}, {"a": f"two{end}lines", "b": "z"}]


@pytest.mark.parametrize(
    ("encoding", "option"),
    [
        ("utf-8-sig", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("utf-8", "utf-8-sig"), ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"), ("utf-16-be", "utf-16-be"), ("latin-1", "latin-1"), ("cp1252", "cp1252"),
        ("shift_jis", "shift_jis"),
    ],
)  # fmt: skip
def test_encodings_and_byte_order_marks(rows_of: Any, encoding: str, option: str) -> None:
    word = "表\u010a" if encoding.startswith("utf") else "表" if "jis" in encoding else "Größe"
    text = f'name,n\r\n{word},1\r\n"{word}\r\n{word}",2\r\n'
    rows = rows_of(text.encode(encoding), encoding=option)
    assert rows == [{"name": word, "n": "1"}, {"name": f"{word}\r\n{word}", "n": "2"}]


def test_a_wide_character_whose_bytes_look_like_a_line_end_is_none(rows_of: Any) -> None:
    text = "a\r\n\u0a00\u000a\u000a\u0a0a\u0d0a\r\nx\r\n"
    for encoding in ("utf-16-le", "utf-16-be"):
        assert [row["a"] for row in rows_of(text.encode(encoding), encoding=encoding)] == [
            "\u0a00",
            "\u0a0a\u0d0a",
            "x",
        ]


def test_delimiter_quote_skipped_lines_and_given_columns(rows_of: Any) -> None:
    rows = rows_of("made by\nsomebody\n1\t'a\tb'\n", delimiter="tab", quotechar="'", skip_rows=2, columns=["n", "t"])
    assert rows == [{"n": "1", "t": "a\tb"}]
    assert rows_of('a;b\n"x;y\n', delimiter=";", quotechar=None) == [{"a": '"x', "b": "y"}]


def test_messy_headers_become_identifiers_and_describe_tells_the_originals(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_text("Order ID,% done,name\n7,50,x\n")
    source = CsvSource(CsvOptions(path=path, field_mapping={"% done": "share", "name": "who"}))
    info = source.describe()
    assert info.headers == {"Order_ID": "Order ID", "share": "% done", "who": "name"}
    assert (info.size_bytes, info.files) == (path.stat().st_size, (path,))
    assert next(iter(source.read(None)))[0] == {"Order_ID": "7", "share": "50", "who": "x"}


@pytest.mark.parametrize("content", ["", "a,b", "a,b\n", "a,b\r\n\r\n\n", "\ufeff", "\n\n"])
def test_an_empty_file_and_a_header_alone_have_no_rows(rows_of: Any, content: str) -> None:
    assert rows_of(content) == []


def test_empty_lines_are_passed_over_but_counted(rows_of: Any) -> None:
    assert lines_and_errors(rows_of("\na\n\n1\n\r\n2,3\n")) == [{"a": "1"}, (6, "has 2 fields where 1 are expected")]


def test_ragged_lines_are_invalid_with_their_line_and_text(rows_of: Any) -> None:
    rows = rows_of('a,b\n1\n"x\ny",2\n1,2,3\n4,5\n')
    assert rows[0] == Invalid("1\n", "has 1 field where 2 are expected", 2, {"a": "1", "b": None})
    assert rows[1] == {"a": "x\ny", "b": "2"}
    assert rows[2] == Invalid("1,2,3\n", "has 3 fields where 2 are expected", 5, {"a": "1", "b": "2"})
    assert rows[3] == {"a": "4", "b": "5"}


def test_a_nul_byte_and_a_wrong_encoding_cost_one_row_each(rows_of: Any) -> None:
    rows = rows_of(b'a,b\n1,x\0y\n2,\xff\xfe\n"3\n\xe9",4\n5,ok\n')
    assert lines_and_errors(rows) == [
        (2, "contains a NUL byte"),
        (3, "is not utf-8: invalid start byte at byte 3 of the line"),
        (4, "is not utf-8: invalid continuation byte at byte 1 of the line"),
        {"a": "5", "b": "ok"},
    ]
    assert rows[1].raw == "2,\\xff\\xfe\n"
    assert rows[2].raw == '"3\n\\xe9",4\n'


def test_a_stray_quote_costs_its_line_only(rows_of: Any) -> None:
    rows = rows_of('a,b\n"q"z,1\n"open,2\n3,3\n"m\nn",4\n')
    assert [row.line if isinstance(row, Invalid) else row for row in rows] == [
        2, 3, {"a": "3", "b": "3"}, {"a": "m\nn", "b": "4"},
    ]  # fmt: skip


def test_a_quote_that_is_never_closed_does_not_swallow_the_file(rows_of: Any) -> None:
    rows = rows_of('a,b\n1,"open\n' + "".join(f"{i},x\n" for i in range(50)))
    nothing = {"a": None, "b": None}
    assert rows[0] == Invalid('1,"open\n', "a quote is opened and not closed before the end of the file", 2, nothing)
    assert rows[1:] == [{"a": str(i), "b": "x"} for i in range(50)]


def test_an_open_quote_is_given_up_when_the_row_grows_beyond_the_limit(rows_of: Any) -> None:
    rows = rows_of('a,b\n1,"open\n' + "22,x\n" * 30, max_row_bytes=64)
    assert rows[0].error == "a quote is opened and not closed within 64 bytes"
    assert rows[1:] == [{"a": "22", "b": "x"}] * 30


def test_a_line_beyond_the_limit_is_invalid_and_the_next_is_read(rows_of: Any) -> None:
    long = "9," + "x" * 100 + "\n"
    rows = rows_of("a,b\n1,2\n" + long + '3,"op\n' + long + "4,5\n" + long.rstrip(), max_row_bytes=64)
    assert lines_and_errors(rows) == [
        {"a": "1", "b": "2"},
        (3, "has 103 bytes where max_row_bytes allows 64"),
        (4, "a quote is opened and not closed before a line that is too long"),
        (5, "has 103 bytes where max_row_bytes allows 64"),
        {"a": "4", "b": "5"},
        (7, "has 102 bytes where max_row_bytes allows 64"),
    ]


def test_a_field_of_fifty_megabytes_is_invalid_within_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    with path.open("wb") as file:
        file.write(b"a,b\n1,")
        for _ in range(50):
            file.write(b"x" * 1_000_000)
        file.write(b"\n2,3\n")
    source = CsvSource(CsvOptions(path=path, max_row_bytes=2_000_000))
    with most_held() as held:
        items = [item for item, _ in source.read(None)]
    assert [row.line if isinstance(row, Invalid) else row for row in items] == [2, {"a": "2", "b": "3"}]
    assert len(items[0].raw) == hashed_file.RAW_BYTES
    assert max(held) <= 2_000_000 + 2 * hashed_file.BLOCK_BYTES
    assert source.proof() == hashlib.sha256(path.read_bytes()).hexdigest()


def test_an_input_made_of_half_open_quotes_is_read_in_linear_time(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_text("a,b\n" + 'x","\n' * 2_000)
    source = CsvSource(CsvOptions(path=path))
    scanned = 0

    class Counting(list[bytes]):
        def append(self, line: bytes) -> None:
            nonlocal scanned
            scanned += 1
            super().append(line)

    original = csv_records.RecordFeed.__init__

    def counted(self: Any, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        self.taken = Counting()

    with patch.object(csv_records.RecordFeed, "__init__", counted):
        items = [item for item, _ in source.read(None)]
    assert len(items) == 2_000
    assert all(isinstance(item, Invalid) for item in items)
    assert scanned < 4 * 2_000


def test_very_many_lines_behind_an_open_quote_are_read_in_linear_time(tmp_path: Path) -> None:
    # If each line cost a look at all lines before it, this would take hours.
    path = tmp_path / "input.csv"
    path.write_text('a\n"open\n' + "1\n" * 400_000)
    items = [item for item, _ in CsvSource(CsvOptions(path=path)).read(None)]
    assert [item.line for item in items if isinstance(item, Invalid)] == [2]
    assert len(items) == 400_001


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"a,b,a\n", "header 'a' appears twice"),
        (b"a b,a-b\n", "both become 'a_b'"),
        (b"\xff,b\n", "is not utf-8"),
        (b'a,"b\n1,2\n', "unexpected end of data"),
        (b"a,b\0\n", "NUL"),
        ("a,b\n".encode("utf-16"), "byte-order mark of UTF-16"),
    ],
)
def test_a_header_that_cannot_be_used_is_an_error_of_the_settings(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "input.csv"
    path.write_bytes(content)
    with pytest.raises(SettingsError) as caught:
        CsvSource(CsvOptions(path=path)).describe()
    assert words in caught.value.message
    assert str(path) in caught.value.message
    assert caught.value.next_step


@pytest.mark.parametrize(
    "options",
    [{"delimiter": ",,"}, {"delimiter": "\n"}, {"quotechar": ""}, {"encoding": "klingon"}, {"encoding": "utf-7"},
     {"encoding": "utf-32"}, {"encoding": "base64"}, {"encoding": "cp037"}, {"skip_rows": -1}, {"max_row_bytes": 0},
     {"delimeter": ";"}],
)  # fmt: skip
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        CsvOptions(path=Path("x.csv"), **options)


CELLS = st.text(st.sampled_from('ab,"\n\r é€😀\u2028\x85'), max_size=6)
TABLES = st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(CELLS, min_size=n, max_size=n), max_size=8))


@settings(max_examples=150)
@given(TABLES, st.sampled_from(["\n", "\r\n"]), st.booleans(), st.booleans(), st.integers(1, 40))
def test_whatever_the_csv_module_writes_is_read_back(
    table: list[list[str]], end: str, bom: bool, cut: bool, block: int
) -> None:
    width = len(table[0]) if table else 2
    names = [f"c{i}" for i in range(width)]
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([names, *table])
    content = text.getvalue().removesuffix(end) if cut else text.getvalue()
    with tempfile.TemporaryDirectory() as folder, patch.object(hashed_file, "BLOCK_BYTES", block):
        path = Path(folder, "input.csv")
        path.write_bytes(content.encode("utf-8-sig" if bom else "utf-8"))
        rows = check_resumable(lambda: CsvSource(CsvOptions(path=path)))
    assert rows == [dict(zip(names, row, strict=True)) for row in table]


@settings(max_examples=200)
@given(st.lists(st.sampled_from([b"a", b",", b'"', b"\n", b"\r", b"\0", b"\xc3\xa9", b"\xff", b'""', b',"'])))
def test_garbage_is_read_alike_whatever_the_blocks_and_wherever_it_is_resumed(pieces: list[bytes]) -> None:
    results = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "input.csv")
        path.write_bytes(b"x,y\n" + b"".join(pieces))
        for block in (1, 3, 1 << 20):
            with patch.object(hashed_file, "BLOCK_BYTES", block):
                results.append(check_resumable(lambda: CsvSource(CsvOptions(path=path, max_row_bytes=12))))
    assert results[0] == results[1] == results[2]


def test_a_row_of_several_lines_is_said_to_begin_at_its_first(tmp_path: Path) -> None:
    path = tmp_path / "input.csv"
    path.write_text('a,b\n1,"two\nlines"\n\n3,4\n', encoding="utf-8")
    source = CsvSource(CsvOptions(path=path))
    assert [source.line(cursor) for _, cursor in source.read(None)] == [2, 5]
