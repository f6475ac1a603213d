"""Compressed output: other programs can read it at every position, and it unpacks to what a plain output holds."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from elspeth.errors import OutputDamaged, SettingsError, Temporary
from elspeth.plugins import registry
from elspeth.plugins.options import OptionProblems
from elspeth.testing import check_sink
from tests.kit.compressed import PACK, UNPACK, plain_bytes
from tests.unit.testing.test_our_plugins import SINKS

ROWS = [{"a": n, "b": f"row {n}"} for n in range(20)]


@pytest.fixture(params=PACK)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def build(name: str, path: Path, **options: Any) -> Any:
    return registry.build(registry.find("sink", name), {"path": str(path), **options}, "sink")


def flip_a_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


CASES = [(".gz", *case) for case in SINKS] + [(suffix, *SINKS[n]) for suffix in (".bz2", ".xz", ".zst") for n in (3, 6)]


@pytest.mark.parametrize(("suffix", "name", "options", "rows", "there"), CASES)
def test_every_sink_keeps_its_contract_on_compressed_output(
    suffix: str, name: str, options: dict[str, Any], rows: list[Any], there: bytes | None, tmp_path: Path
) -> None:
    path, plain = tmp_path / f"out{suffix}", tmp_path / "plain"
    if there is not None:
        path.write_bytes(PACK[suffix](there))
        plain.write_bytes(there)
    numbered = options.get("collision_policy") == "auto_increment"
    written, expected = (tmp_path / f"out_1{suffix}", tmp_path / "plain_1") if numbered else (path, plain)
    other = build(name, plain, **options)
    other.open(other.inspect())
    other.write(rows)
    other.finish()
    other.close()
    held: list[bytes] = []

    def content() -> bytes:
        held.append(plain_bytes(written))
        return held[-1]

    check_sink(build(name, path, **options), rows, content=content, damage=lambda: flip_a_byte(written))
    assert held[-1] == expected.read_bytes()


def test_what_was_flushed_is_a_whole_file_for_other_programs(make_sink, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.csv{suffix}"
    sink = make_sink("csv", path.name)
    sink.open(sink.inspect())
    for row in ROWS:
        sink.write([row])
        position = sink.flush()
        assert position["size"] == path.stat().st_size
        assert UNPACK[suffix](path.read_bytes()).splitlines()[-1] == f"{row['a']},{row['b']}".encode()
    before = path.read_bytes()
    sink.finish()
    assert path.read_bytes() == before  # there was nothing to add


def test_the_same_rows_and_commits_give_the_same_bytes(make_sink, tmp_path: Path, suffix: str) -> None:
    for name in ("one", "two"):
        sink = make_sink("json", f"{name}.json{suffix}")
        sink.open(sink.inspect())
        for begin in (0, 10):
            sink.write(ROWS[begin : begin + 10])
            sink.flush()
        sink.finish()
        sink.close()
    assert (tmp_path / f"one.json{suffix}").read_bytes() == (tmp_path / f"two.json{suffix}").read_bytes()


def test_an_output_without_rows_is_a_compressed_file_of_nothing(make_sink, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.csv{suffix}"
    for _ in range(2):  # and one that is appended to may be such a file
        sink = make_sink("csv", path.name, mode="append")
        sink.open(sink.inspect())
        sink.finish()
        sink.close()
        assert path.stat().st_size
        assert UNPACK[suffix](path.read_bytes()) == b""
    sink = make_sink("csv", path.name, mode="append")
    sink.open(sink.inspect())
    sink.write(ROWS[:1])
    sink.finish()
    assert UNPACK[suffix](path.read_bytes()) == b"a,b\r\n0,row 0\r\n"


def test_append_goes_on_behind_the_last_member(make_sink, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.csv{suffix}"
    path.write_bytes(PACK[suffix](b"b,a\nx,1"))
    sink = make_sink("csv", path.name, mode="append")
    sink.open(sink.inspect())
    sink.write(ROWS[:2])
    sink.finish()
    assert UNPACK[suffix](path.read_bytes()) == b"b,a\nx,1\nrow 0,0\nrow 1,1\n"


@pytest.mark.parametrize("kind", ["csv", "json", "text"])
def test_a_file_that_is_not_whole_is_not_appended_to(kind: str, make_sink, tmp_path: Path, suffix: str) -> None:
    options = {"format": "jsonl"} if kind == "json" else {}
    path = tmp_path / f"out{suffix}"
    for content, found in (
        (PACK[suffix](b'{"a":1}\n')[:-3], "ends in the middle"),
        (b'{"a":1}\n', "it begins with"),
        (PACK[suffix](b'{"a":1}\n') + b"garbage", "goes on behind its end"),
    ):
        path.write_bytes(content)
        with pytest.raises(SettingsError, match=f"cannot be appended to: .*{found}"):
            make_sink(kind, path.name, mode="append", **options).inspect()
        assert path.read_bytes() == content


def test_numbers_of_new_names_go_before_both_suffixes(make_sink, tmp_path: Path) -> None:
    (tmp_path / "out.csv.gz").write_bytes(b"")
    sink = make_sink("csv", "out.csv.gz", collision_policy="auto_increment")
    assert Path(sink.inspect()["path"]).name == "out_1.csv.gz"
    (tmp_path / "out.v2.csv").write_bytes(b"")
    sink = make_sink("csv", "out.v2.csv", collision_policy="auto_increment")
    assert Path(sink.inspect()["path"]).name == "out.v2_1.csv"


def test_the_option_decides_where_the_suffix_does_not(make_sink, tmp_path: Path) -> None:
    for name, compression, unpack in (("a", "xz", UNPACK[".xz"]), ("b.gz", "none", bytes)):
        sink = make_sink("json", name, format="jsonl", compression=compression)
        sink.open(sink.inspect())
        sink.write([{"a": 1}])
        sink.finish()
        assert unpack((tmp_path / name).read_bytes()) == b'{"a":1}\n'


def test_a_full_disk_loses_no_part_of_a_member(make_sink, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.csv{suffix}"
    sink = make_sink("csv", path.name)
    sink.open(sink.inspect())
    sink.write(ROWS)
    with patch.object(os, "pwrite", side_effect=OSError(28, "No space left on device")), pytest.raises(Temporary):
        sink.flush()
    sink.flush()
    assert len(UNPACK[suffix](path.read_bytes()).splitlines()) == 21


def test_a_file_that_was_changed_is_damaged(make_sink, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.csv{suffix}"
    sink = make_sink("csv", path.name)
    sink.open(sink.inspect())
    sink.write(ROWS)
    position = sink.flush()
    sink.close()
    flip_a_byte(path)
    with pytest.raises(OutputDamaged):
        make_sink("csv", path.name).check(position)


def test_the_byte_order_mark_stands_once_at_the_beginning(make_sink, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out.csv{suffix}"
    sink = make_sink("csv", path.name, encoding="utf-16")
    sink.open(sink.inspect())
    for row in ROWS[:2]:
        sink.write([row])
        sink.flush()
    assert UNPACK[suffix](path.read_bytes()).decode("utf-16") == "a,b\r\n0,row 0\r\n1,row 1\r\n"


def test_a_missing_extra_is_a_problem_of_the_options(tmp_path: Path) -> None:
    with (
        patch("elspeth.plugins.compression.kinds.find_spec", return_value=None),
        pytest.raises(OptionProblems, match="cannot be used") as caught,
    ):
        build("json", tmp_path / "t.json.zst")
    assert "pip install 'elspeth[zstd]'" in str(caught.value.problems[0])
