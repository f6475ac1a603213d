"""How standard input is kept: durably, within the room that there is, and nothing of it where that cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from elspeth.errors import Temporary
from elspeth.runs.lifecycle import stdin_spool
from tests.kit.processes.disk import Disk

TEXT = b"id\n1\n2\n"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is standard input."""
    path = tmp_path / "given"
    path.write_bytes(TEXT)
    descriptor = os.open(path, os.O_RDONLY)
    monkeypatch.setattr(stdin_spool, "STDIN", descriptor)
    yield path
    os.close(descriptor)


def room(monkeypatch: pytest.MonkeyPatch, *free: int) -> None:
    """So many bytes are free, each time that is asked for."""
    found = iter(free)
    monkeypatch.setattr(os, "statvfs", lambda place: SimpleNamespace(f_bavail=next(found), f_frsize=1))


def test_all_of_it_is_on_disk_under_its_name_when_it_is_kept(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "state" / "stdin"
    disk = Disk(monkeypatch, tmp_path)
    entry = stdin_spool._keep(folder, "run")
    assert disk.unsynced() == []
    assert (folder / "run").read_bytes() == TEXT
    assert (entry.path, entry.size) == (str(folder / "run"), len(TEXT))
    assert [path.name for path in folder.iterdir()] == ["run"]


def test_what_is_taken_of_a_file_is_what_lies_behind_its_position(given: Path, tmp_path: Path) -> None:
    os.lseek(stdin_spool.STDIN, 3, os.SEEK_SET)
    stdin_spool._keep(tmp_path, "run")
    assert (tmp_path / "run").read_bytes() == TEXT[3:]


def test_a_file_for_which_there_is_no_room_is_refused_before_anything_is_made(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    room(monkeypatch, stdin_spool.ROOM_BYTES + len(TEXT) - 1)
    with pytest.raises(Temporary, match="bytes left, and standard input is kept there") as refused:
        stdin_spool._keep(tmp_path / "stdin", "run")
    assert f"{len(TEXT):,} bytes of it are still to come" in refused.value.details
    assert "Make room there" in refused.value.next_step
    assert list((tmp_path / "stdin").iterdir()) == []
    room(monkeypatch, stdin_spool.ROOM_BYTES + len(TEXT))
    assert stdin_spool._keep(tmp_path / "stdin", "run").size == len(TEXT)


def test_where_the_room_goes_while_it_comes_nothing_of_it_is_left(
    given: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stdin_spool, "ROOM_BYTES", 4)
    monkeypatch.setattr(stdin_spool, "BLOCK_BYTES", 2)
    room(monkeypatch, 100, 3)
    with pytest.raises(Temporary) as refused:
        stdin_spool._keep(tmp_path / "stdin", "run")
    assert "there is more of it to come" in refused.value.details
    assert list((tmp_path / "stdin").iterdir()) == []


def test_a_pipe_that_does_not_block_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    monkeypatch.setattr(stdin_spool, "STDIN", reading)
    waits = []

    def arrives(*_: object) -> None:
        waits.append(True)
        os.write(writing, TEXT)
        os.close(writing)

    monkeypatch.setattr("select.select", arrives)
    assert stdin_spool._keep(tmp_path, "run").size == len(TEXT)
    assert waits == [True]
    os.close(reading)


def test_a_name_that_is_taken_is_not_written_over(given: Path, tmp_path: Path) -> None:
    (tmp_path / "run.partial").write_text("somebody's")
    with pytest.raises(Temporary, match="could not be kept in"):
        stdin_spool._keep(tmp_path, "run")
    assert (tmp_path / "run.partial").read_text() == "somebody's"
