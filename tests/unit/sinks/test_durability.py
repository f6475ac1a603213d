"""What a position, a cut or a take-over relies on has reached the disk, bytes and names, in this order."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import Temporary
from tests.kit.processes.disk import Disk

ROWS = [{"a": 1}, {"a": 2}]
KINDS = pytest.mark.parametrize("kind", ["csv", "json", "text"])


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    return Disk(monkeypatch, tmp_path)


def in_order(disk: Disk, *steps: tuple[str, str]) -> bool:
    calls = iter(disk.calls)
    return all(step in calls for step in steps)


@KINDS
def test_nothing_that_a_position_vouches_for_is_lost_in_a_power_cut(kind: str, disk: Disk, make_sink: Any) -> None:
    sink = make_sink(kind)
    sink.open(sink.inspect())
    for row in ROWS:
        sink.write([row])
        sink.flush()
        assert disk.unsynced() == []
    sink.finish()
    assert disk.unsynced() == []


@KINDS
def test_a_file_is_cut_to_nothing_for_good_although_no_row_comes(
    kind: str, disk: Disk, make_sink: Any, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(b"what an earlier run left\n")
    sink = make_sink(kind)
    sink.open(sink.inspect())
    assert disk.unsynced() == [str(tmp_path / "out")]
    sink.flush()
    assert disk.unsynced() == []
    assert in_order(disk, ("cut", str(tmp_path / "out")), ("sync", str(tmp_path / "out")))


@KINDS
def test_a_cut_that_an_attempt_before_made_and_did_not_sync_is_synced(
    kind: str, disk: Disk, make_sink: Any, tmp_path: Path
) -> None:
    (tmp_path / "out").write_bytes(b"what an earlier run left\n")
    sink = make_sink(kind)
    position = sink.inspect()
    sink.open(position)
    sink.close()
    disk.calls.clear()
    again = make_sink(kind)
    again.open(position)
    again.flush()
    assert ("sync", str(tmp_path / "out")) in disk.calls


def test_a_cut_tail_is_synced_before_the_next_position(disk: Disk, make_sink: Any, tmp_path: Path) -> None:
    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write(ROWS[:1])
    position = sink.flush()
    sink.write(ROWS[1:])
    sink.flush()
    sink.close()
    disk.calls.clear()
    again = make_sink("csv")
    (cut,) = again.open(position)
    # The copy, under its name, is on disk before the file is cut: whatever comes, the bytes are in one of the two.
    written = [path for what, path in disk.calls if what == "write"]
    folder = str(Path(cut.copy).parent)
    steps = (("write", written[0]), ("sync", written[0]), ("name", cut.copy), ("sync", folder))
    assert in_order(disk, *steps, ("cut", str(tmp_path / "out")))
    again.flush()
    assert disk.unsynced() == []


def test_the_names_of_new_folders_are_on_disk_in_all_their_parents(disk: Disk, make_sink: Any, tmp_path: Path) -> None:
    sink = make_sink("csv", "new/folder/out")
    sink.open(sink.inspect())
    for folder in (tmp_path, tmp_path / "new", tmp_path / "new/folder"):
        assert ("sync", str(folder)) in disk.calls


def test_names_that_a_killed_attempt_left_unsynced_are_synced(disk: Disk, make_sink: Any, tmp_path: Path) -> None:
    (tmp_path / "new/folder").mkdir(parents=True)
    (tmp_path / "new/folder/out").touch()
    sink = make_sink("csv", "new/folder/out")
    sink.open(sink.inspect())
    for folder in (tmp_path, tmp_path / "new", tmp_path / "new/folder"):
        assert ("sync", str(folder)) in disk.calls


def test_the_way_to_an_output_is_synced_no_further_than_the_working_directory(
    disk: Disk, make_sink: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    sink = make_sink("csv", "work/new/out")
    sink.open(sink.inspect())
    assert ("sync", str(tmp_path / "work")) in disk.calls
    assert ("sync", str(tmp_path)) not in disk.calls


def test_a_take_over_shows_a_copy_only_when_it_is_whole_and_keeps_its_name(
    disk: Disk, make_sink: Any, tmp_path: Path
) -> None:
    frozen = make_sink("csv")
    frozen.open(frozen.inspect())
    frozen.write(ROWS[:1])
    position = frozen.flush()
    frozen.write(ROWS[1:])
    frozen.flush()
    disk.calls.clear()
    again = make_sink("csv")
    (cut,) = again.open(position, replace=True)
    out = str(tmp_path / "out")
    at = disk.calls.index(("name", out))
    copies = [path for what, path in disk.calls[:at] if what == "create" and path.endswith(".takeover")]
    assert ("sync", copies[0]) in disk.calls[:at]
    assert in_order(disk, ("name", cut.copy), ("sync", str(Path(cut.copy).parent)), ("name", out))
    assert ("sync", str(tmp_path)) in disk.calls[at:]
    again.flush()
    assert disk.unsynced() == []


@pytest.mark.parametrize("room", range(17))
def test_after_a_write_of_which_the_disk_took_a_part_the_hash_is_that_of_the_file(
    room: int, make_sink: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, left = os.pwrite, room

    def filling(fd: int, data: memoryview, offset: int) -> int:
        nonlocal left
        if not left:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = real(fd, data[: min(left, 3)], offset)
        left -= done
        return done

    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write([{"text": "one"}, {"text": "two"}])
    monkeypatch.setattr(os, "pwrite", filling)
    if room < len(b"text\r\none\r\ntwo\r\n"):
        with pytest.raises(Temporary):
            sink.flush()
    monkeypatch.undo()  # somebody made room
    position = json.loads(json.dumps(sink.flush()))
    sink.close()
    make_sink("csv").check(position)
    assert position["size"] == len((tmp_path / "out").read_bytes()) == len(b"text\r\none\r\ntwo\r\n")
