"""Compressed input is read like plain input: same rows, same cursors, same proofs, and nothing bad goes unsaid."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from elspeth.errors import SettingsError, SourceChanged, Temporary
from elspeth.plugins import registry
from elspeth.plugins.compression import unpacking
from elspeth.plugins.contract import Source
from elspeth.plugins.options import OptionProblems
from elspeth.plugins.sources import hashed_file
from elspeth.plugins.sources.one_file import refuse_other_kinds
from elspeth.testing import check_source
from tests.kit.compressed import PACK
from tests.kit.pipelines.source_claims import check_resumable, most_held
from tests.unit.testing.test_our_plugins import INPUTS

TABLE = b"id,name\n" + b"".join(b"%d,row number %d\n" % (n, n) for n in range(40))


def source(path: Path, plugin: str = "csv", **options: Any) -> Source:
    built = registry.build(registry.find("source", plugin), {"path": str(path), **options}, "source")
    assert isinstance(built, Source)
    return built


def rows(made: Source) -> list[Any]:
    return [row for row, _ in made.read(None)]


@pytest.fixture(params=PACK)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize(("plugin", "case"), INPUTS)
def test_every_source_keeps_its_contract_on_compressed_input(
    plugin: str, case: str, suffix: str, tmp_path: Path
) -> None:
    data, options = INPUTS[plugin, case]
    path = tmp_path / f"input{suffix}"
    path.write_bytes(PACK[suffix](data[:7]) + PACK[suffix](data[7:]))
    made = source(path, plugin, **options)
    check_source(made)
    plain = tmp_path / "plain"
    plain.write_bytes(data)
    with patch.object(hashed_file, "BLOCK_BYTES", 3):
        assert check_resumable(lambda: source(path, plugin, **options)) == rows(source(plain, plugin, **options))


def test_cursor_and_proof_are_those_of_the_plain_bytes(tmp_path: Path, suffix: str) -> None:
    path, plain = tmp_path / f"t.csv{suffix}", tmp_path / "t.csv"
    path.write_bytes(PACK[suffix](TABLE))
    plain.write_bytes(TABLE)
    packed, other = source(path), source(plain)
    for (_, cursor), (_, expected) in zip(packed.read(None), other.read(None), strict=True):
        assert cursor == expected
        assert packed.proof() == other.proof()
    assert packed.proof() == hashlib.sha256(TABLE).hexdigest()


def test_a_json_lines_file_is_known_by_the_suffix_in_front_of_that_of_its_compression(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(PACK[".gz"](b'{"a": 1}\n{"a": 2}\n'))
    assert rows(source(path, "json")) == [{"a": 1}, {"a": 2}]


def test_what_was_unpacked_to_be_checked_is_not_unpacked_again(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACK[suffix](TABLE))
    reading = source(path)
    *_, (_, cursor) = (next(iterator) for iterator in [reading.read(None)] for _ in range(20))
    resumed, begun = source(path), unpacking._decoder
    resumed.check(cursor, str(reading.proof()))
    with patch.object(unpacking, "_decoder", side_effect=begun) as decoders:
        assert len([row for row, _ in resumed.read(cursor)]) == 20
    assert decoders.call_count == 2  # for the head of the file, which says its encoding, and its header


def test_a_truncated_file_gives_the_rows_before_the_cut_and_then_stops_the_run(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    whole = PACK[suffix](TABLE) + PACK[suffix](b"40,last\n")
    for cut in (len(whole) - 1, len(whole) - 4, len(PACK[suffix](TABLE)) + 3):
        path.write_bytes(whole[:cut])
        found, iterator = [], source(path).read(None)
        with pytest.raises(Temporary, match="ends in the middle: it is cut off behind"):
            found.extend(row for row, _ in iterator)
        path.write_bytes(whole)
        assert len(rows(source(path))) == 41


def test_a_run_that_met_a_cut_goes_on_when_the_whole_file_is_there(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    first, second = PACK[suffix](TABLE), PACK[suffix](b"40,last\n")
    path.write_bytes(first + second[:-2])
    reading, cursors = source(path), []
    with patch.object(hashed_file, "BLOCK_BYTES", 64), pytest.raises(Temporary):
        cursors.extend(cursor for _, cursor in reading.read(None))
    last = cursors[-1]
    proof = str(reading.proof())
    path.write_bytes(first + second)
    resumed = source(path)
    resumed.check(last, proof)
    assert len(cursors) + len([row for row, _ in resumed.read(last)]) == 41


def test_garbage_behind_the_end_is_no_input_and_is_said(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACK[suffix](TABLE) + b"garbage behind it")
    with pytest.raises(Temporary, match=r"goes on behind its end, with something that is not .*garbage"):
        rows(source(path))


def test_zeros_behind_the_end_are_padding_where_the_format_allows_them(tmp_path: Path) -> None:
    for suffix in (".gz", ".xz"):
        path = tmp_path / f"t.csv{suffix}"
        path.write_bytes(PACK[suffix](TABLE) + bytes(512))
        assert len(rows(source(path))) == 40


def test_a_damaged_file_is_said_with_the_place(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    data = bytearray(zstd_with_checksum(TABLE) if suffix == ".zst" else PACK[suffix](TABLE))
    data[-6] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(Temporary, match=r"is damaged behind|ends in the middle"):
        rows(source(path))


def zstd_with_checksum(data: bytes) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(write_checksum=True).compress(data)


def test_a_change_before_the_cursor_is_found(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACK[suffix](TABLE))
    reading = source(path)
    *_, (_, cursor) = reading.read(None)
    proof = str(reading.proof())
    path.write_bytes(PACK[suffix](TABLE.replace(b"row number 7\n", b"row number 8\n")))
    with pytest.raises(SourceChanged, match="was changed"):
        source(path).check(cursor, proof)
    path.write_bytes(PACK[suffix](TABLE[:100]))
    with pytest.raises(SourceChanged, match="has become shorter"):
        source(path).check(cursor, proof)
    path.write_bytes(PACK[suffix](TABLE) + PACK[suffix](b""))  # packed in another way, the same bytes
    source(path).check(cursor, proof)


def test_a_last_line_without_an_end_must_not_grow(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACK[suffix](b"a,b\n1,2"))
    reading = source(path)
    ((_, cursor),) = reading.read(None)
    proof = str(reading.proof())
    path.write_bytes(PACK[suffix](b"a,b\n1,2") + PACK[suffix](b"3\n"))
    with pytest.raises(SourceChanged, match="has grown, but its last line had no line end"):
        source(path).check(cursor, proof)
    with pytest.raises(SourceChanged, match="has grown, but its last line had no line end"):
        reading.said_at_end()


def test_a_member_that_was_added_is_said_at_the_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACK[suffix](TABLE))
    reading = source(path)
    *_, (_, cursor) = reading.read(None)
    assert reading.said_at_end() is None
    assert source(path).grown(cursor) is None
    path.write_bytes(PACK[suffix](TABLE) + PACK[suffix](b"41,more\n"))
    assert "has grown by" in str(reading.said_at_end())
    assert "has grown by 8 bytes" in str(source(path).grown(cursor))


@pytest.mark.parametrize(
    ("name", "content", "message", "step"),
    [
        ("t.csv.gz", TABLE, r"is to be gzip, and it begins with 'id,name", "set compression: none"),
        ("t.csv.gz", PACK[".zst"](TABLE), "is to be gzip, and it begins with", "Set compression: zstd."),
        ("t.csv.zst", PACK[".bz2"](TABLE), "is to be zstd, and it begins with", "Set compression: bzip2."),
        ("t.csv", PACK[".gz"](TABLE), "is compressed with gzip, not text", "Set compression: gzip."),
        ("t.csv", PACK[".xz"](TABLE), "is compressed with xz, not text", "Set compression: xz."),
        ("t.csv.gz", PACK[".gz"](PACK[".gz"](TABLE)), "is compressed with gzip, not text", ""),
    ],
)
def test_suffix_and_contents_that_disagree_are_refused_before_a_run(
    name: str, content: bytes, message: str, step: str, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(SettingsError, match=message) as caught:
        source(path).describe()
    assert step in caught.value.next_step


def test_the_option_says_what_the_suffix_does_not(tmp_path: Path) -> None:
    path = tmp_path / "table"
    path.write_bytes(PACK[".bz2"](TABLE))
    assert len(rows(source(path, compression="bzip2"))) == 40
    plain = tmp_path / "plain.gz"
    plain.write_bytes(TABLE)
    assert len(rows(source(plain, compression="none"))) == 40


@pytest.mark.parametrize("content", [b"", PACK[".gz"](b"")])
def test_an_empty_file_is_empty_compressed_or_not(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.csv.gz"
    path.write_bytes(content)
    assert source(path).describe().size_bytes == 0
    assert rows(source(path)) == []
    with pytest.raises(SettingsError, match="is empty"):
        source(path, on_empty="refuse").describe()


def test_a_file_that_unpacks_to_far_more_than_its_size_stops_the_run(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.txt{suffix}"
    path.write_bytes(PACK[suffix](b"x" * 100 * 1024 + b"\n") * 400)  # 40 MB, some hundred times the file
    with most_held() as held:
        with pytest.raises(SettingsError, match=r"unpacks to more than max_expansion allows: .* more than 100 times"):
            rows(source(path, "text"))
        assert len(rows(source(path, "text", max_expansion=100_000))) == 400
    assert max(held) < 8 << 20


def test_a_small_file_may_repeat_itself_as_it_likes(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"t.csv{suffix}"
    path.write_bytes(PACK[suffix](b"a\n" + b"1\n" * 1_000_000))
    assert len(rows(source(path))) == 1_000_000


def test_one_block_that_stands_for_gigabytes_is_not_held_at_once(tmp_path: Path) -> None:
    path = tmp_path / "t.txt.gz"
    path.write_bytes(PACK[".gz"](bytes(300 << 20)))
    with pytest.raises(SettingsError, match="max_expansion"), most_held() as held:
        rows(source(path, "text", max_row_bytes=1 << 20))
    assert max(held) < 8 << 20


def test_a_missing_extra_is_a_problem_of_the_options(tmp_path: Path) -> None:
    with (
        patch("elspeth.plugins.compression.kinds.find_spec", return_value=None),
        pytest.raises(OptionProblems) as caught,
    ):
        source(tmp_path / "t.csv.zst")
    assert "pip install 'elspeth[zstd]'" in str(caught.value.problems[0])


def test_libraries_are_loaded_where_they_are_needed_only(tmp_path: Path) -> None:
    import subprocess

    path = tmp_path / "t.csv"
    path.write_bytes(TABLE)
    program = (
        "import sys; from pathlib import Path\n"
        "from elspeth.plugins.sources.csv_source import CsvOptions, CsvSource\n"
        "from elspeth.plugins.sinks.csv_sink import CsvSink, CsvSinkOptions\n"
        f"list(CsvSource(CsvOptions(path=Path({str(path)!r}))).read(None))\n"
        "CsvSink(CsvSinkOptions(path=Path('x.csv')))\n"
        "print([name for name in ('zstandard', 'elspeth.plugins.compression.unpacking') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("head", "refused"),
    [
        (b"BZh\tname\n", False), (b"BZh,name\n", False), (b"BZh\x08name\n", True), (b"BZh91AY\x00\n", True),
        (b"\x1f\x8bname\n", False), (b"PAR1,name\n", True), (b"%PDF-1.7\n", True), (b"PAR,name\n", False),
    ],
)  # fmt: skip
def test_a_word_of_text_that_begins_like_a_short_mark_is_text(head: bytes, refused: bool, tmp_path: Path) -> None:
    if not refused:
        refuse_other_kinds(head, tmp_path)
        return
    with pytest.raises(SettingsError, match="not text"):
        refuse_other_kinds(head, tmp_path)
