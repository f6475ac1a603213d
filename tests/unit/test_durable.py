"""A file that is kept is whole and on disk under its name, or the old one is; so is an export before its manifest."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from elspeth.audit.export.folder import export_run
from elspeth.audit.query.reader import AuditReader
from elspeth.durable import keep, together
from elspeth.runs.lifecycle import evidence_delivery
from elspeth.runs.operate import purge
from tests.kit.fixtures.sample_run import RUN, write_run
from tests.kit.processes.disk import Disk


def test_a_file_is_kept_in_this_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exports").mkdir()
    disk = Disk(monkeypatch, tmp_path)
    place = tmp_path / "exports/run.json"
    keep(place, b"{}")
    steps = [call for call in disk.calls if call[0] != "sync" or call[1].endswith((".partial", "exports"))]
    ((created, partial),) = [call for call in steps if call[0] == "create"]
    assert steps[steps.index((created, partial)) :] == [
        ("create", partial), ("write", partial), ("sync", partial), ("name", str(place)),
        ("sync", str(place.parent)),
    ]  # fmt: skip
    assert disk.unsynced() == []
    assert stat.S_IMODE(place.stat().st_mode) == 0o600


def test_the_note_of_an_export_is_on_disk_before_the_export_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, tmp_path)
    evidence_delivery._keep(tmp_path / "state/exports/run.json", {"position": {}, "done": False})
    assert disk.unsynced() == []
    assert ("sync", str(tmp_path / "state")) in disk.calls
    assert ("sync", str(tmp_path)) in disk.calls


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    keep(tmp_path / "note", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        keep(tmp_path / "note", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("note", b"old")]


def test_an_export_is_on_disk_before_the_manifest_that_vouches_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path / "audit.db")
    folder = tmp_path / "somewhere/export"
    folder.parent.mkdir()
    disk = Disk(monkeypatch, folder.parent)
    with AuditReader(tmp_path / "audit.db") as reader:
        export_run(reader, RUN, folder)
    assert disk.unsynced() == []
    named = disk.calls.index(("name", str(folder / "manifest.json")))
    for path in folder.glob("*.jsonl"):
        assert ("sync", str(path)) in disk.calls[:named]
    assert ("sync", str(folder)) in disk.calls[:named]
    assert ("sync", str(folder)) in disk.calls[named:]


def test_what_a_purge_removes_does_not_come_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [tmp_path / name for name in ("payloads/ab/one", "payloads/cd/other", "cut/tail")]
    for place in places:
        place.parent.mkdir(parents=True)
        place.write_bytes(b"data of a row")
    disk = Disk(monkeypatch, tmp_path)
    assert purge._remove([[place] for place in places]) == 3
    assert disk.unsynced() == []
    for place in places:
        assert disk.calls.index(("remove", str(place))) < disk.calls.index(("sync", str(place.parent)))


def test_what_is_done_together_is_all_done_before_an_error_is_raised() -> None:
    done = []

    def fails() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with pytest.raises(OSError, match="Input/output"):
        together([fails, *[lambda: done.append(1)] * 20])
    assert len(done) == 20
