"""Room on the disks, and how much a run will want of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import Temporary
from elspeth.runs.doctor import disk
from elspeth.runs.doctor.disk import LEAST_BYTES, LEAST_FILES, Need, check_room, growth

MIB = 1024 * 1024


def free(monkeypatch: pytest.MonkeyPatch, size: int, files: int = 1_000_000, free_files: int = 1_000_000) -> None:
    def found(path: Path) -> Any:
        return os.statvfs_result((1, 1, size, size, size, files, free_files, free_files, 0, 255))

    monkeypatch.setattr(disk.os, "statvfs", found)


@pytest.mark.parametrize(("done", "more"), [(0.5, 1000), (0.25, 3000), (1.0, 0), (0.01, 0), (0.0, 0), (None, 0)])
def test_a_file_grows_by_what_is_still_to_be_read(done: float | None, more: int) -> None:
    assert growth(1000, done) == more


def test_a_disk_must_have_room_for_all_that_lies_on_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = [Need(tmp_path / "audit.db", 80 * MIB), Need(tmp_path / "new" / "out.csv", 40 * MIB)]
    free(monkeypatch, 120 * MIB)
    assert check_room(needs).startswith("120 MiB free at ")
    free(monkeypatch, 119 * MIB)
    with pytest.raises(Temporary, match="has 119 MiB left, about 120 MiB are needed") as found:
        check_room(needs)
    assert found.value.details[1] == f"for {tmp_path / 'new' / 'out.csv'}: about 40 MiB more"


def test_where_nothing_can_be_told_a_commit_must_still_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, LEAST_BYTES - 1)
    with pytest.raises(Temporary):
        check_room([Need(tmp_path / "audit.db", 0)])


def test_a_disk_must_have_room_for_new_files_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 120 * MIB, free_files=LEAST_FILES - 1)
    with pytest.raises(Temporary, match="can hold 99 more files, a run may need 100: its inodes are used"):
        check_room([Need(tmp_path / "audit.db", 0)])
    free(monkeypatch, 120 * MIB, free_files=LEAST_FILES)
    assert check_room([Need(tmp_path / "audit.db", 0)])


def test_a_file_system_that_does_not_count_files_has_room_for_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free(monkeypatch, 120 * MIB, files=0, free_files=0)
    assert check_room([Need(tmp_path / "audit.db", 0)])
