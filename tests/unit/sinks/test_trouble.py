"""A disk that takes no more: one clear sentence, and no position that claims what is not there."""

from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import SettingsError, Temporary

ROWS = [{"text": f"row {n}"} for n in range(10)]
KINDS = pytest.mark.parametrize("kind", ["csv", "json", "text"])


class FullDisk:
    """Stands for the system call: takes `room` more bytes, then none until somebody makes room."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.pwrite

    def __call__(self, fd: int, data: memoryview, offset: int) -> int:
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        part = data[: self.room]
        self.room -= len(part)
        return self.write(fd, part, offset)


@KINDS
@pytest.mark.parametrize("room", range(0, 40, 7))
def test_a_full_disk_is_said_and_the_last_position_still_holds(
    kind: str, room: int, tmp_path: Path, make_sink: Any, written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = written(kind, ROWS)
    sink = make_sink(kind)
    sink.open(sink.inspect())
    sink.write(ROWS[:4])
    position = sink.flush()
    disk = FullDisk(room)
    monkeypatch.setattr(os, "pwrite", disk)
    sink.write(ROWS[4:])
    with pytest.raises(Temporary, match=r"Cannot write .*out: the disk is full\.") as caught:
        sink.flush()
    assert "elspeth resume" in caught.value.next_step
    monkeypatch.undo()
    sink.close()

    again = make_sink(kind)
    again.open(position)
    again.write(ROWS[4:])
    again.finish()
    assert (tmp_path / "out").read_bytes() == expected


@KINDS
def test_a_flush_tried_again_after_room_was_made_loses_nothing(kind, tmp_path, make_sink, written, monkeypatch) -> None:
    expected = written(kind, ROWS)
    sink = make_sink(kind)
    sink.open(sink.inspect())
    sink.write(ROWS)
    disk = FullDisk(25)
    monkeypatch.setattr(os, "pwrite", disk)
    with pytest.raises(Temporary):
        sink.flush()
    disk.room = 10_000
    assert sink.finish()["rows"] == len(ROWS)
    assert (tmp_path / "out").read_bytes() == expected


def test_after_a_failed_fsync_no_later_flush_claims_success(make_sink, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write(ROWS)
    monkeypatch.setattr(os, "fdatasync", broken)
    with pytest.raises(Temporary, match="input/output error"):
        sink.flush()
    monkeypatch.undo()
    with pytest.raises(Temporary, match="input/output error"):
        sink.flush()


LIMITED = """
import resource, signal, sys
from pathlib import Path
from elspeth.errors import Temporary
from elspeth.plugins.sinks.csv_sink import CsvSink, CsvSinkOptions
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
sink = CsvSink(CsvSinkOptions(path=Path(sys.argv[1])))
sink.open(sink.inspect())
try:
    while True:
        sink.write([{"text": "x" * 100}] * 1000)
        position = sink.flush()
except Temporary as error:
    print(error.message)
    print(position["size"])
"""


def test_the_real_kernel_refusing_more_bytes_is_a_sentence_too(tmp_path: Path) -> None:
    assert hasattr(signal, "SIGXFSZ")
    assert resource.RLIMIT_FSIZE is not None
    place = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "out")]
    done = subprocess.run(command, env=place, capture_output=True, text=True, check=True)
    message, size = done.stdout.splitlines()
    assert message == f"Cannot write {tmp_path / 'out'}: the file would be larger than the system allows."
    assert 2_800_000 < int(size) <= 3_000_000


def test_a_full_disk_while_a_tail_is_copied_cuts_nothing(tmp_path: Path, make_sink, monkeypatch) -> None:
    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write(ROWS[:2])
    position = sink.flush()
    sink.write(ROWS[2:])
    sink.flush()
    sink.close()
    before = (tmp_path / "out").read_bytes()

    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Temporary, match="the disk is full"):
        make_sink("csv").open(position)
    assert (tmp_path / "out").read_bytes() == before


def test_a_folder_that_is_not_writable_is_found_before_the_run(tmp_path: Path, make_sink, monkeypatch) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    if os.geteuid() == 0:  # root may write anywhere, so the kernel's answer is put into its mouth
        monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "closed")
    with pytest.raises(Temporary, match="is not writable"):
        make_sink("csv", "closed/out").inspect()


@pytest.mark.parametrize("kind", ["csv", "json", "text"])
def test_a_place_that_is_no_file_is_refused_before_anything_is_touched(kind, tmp_path: Path, make_sink) -> None:
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match="is a folder"):
        make_sink(kind, "folder").inspect()
    with pytest.raises(SettingsError, match="is a pipe"):
        make_sink(kind, "pipe").inspect()
    with pytest.raises(SettingsError, match="is a device"):
        make_sink(kind, "/dev/null").inspect()
    with pytest.raises(SettingsError, match="a part of its folder's path is a file"):
        make_sink(kind, "file/out").inspect()
