"""The payload store: what a record mentions is on disk under its name, and a reference leads nowhere else."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from pathlib import Path

import pytest

from elspeth.audit.explain.payload_reader import PayloadReader
from elspeth.errors import Temporary
from elspeth.payloads import NotAReference, PayloadStore, is_reference
from tests.kit.processes.disk import Disk

CONTENT = [b"one", b"two", b"three"]


def on_disk(store: PayloadStore, content: bytes) -> str:
    """Put, as a worker does, and made durable, as the process that commits does."""
    reference = store.put(content)
    store.write_out()
    store.sync_names([reference])
    return reference


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    return Disk(monkeypatch, tmp_path)


def test_contents_are_on_disk_before_they_have_a_name_and_names_before_a_commit(disk: Disk, tmp_path: Path) -> None:
    store, who_commits = PayloadStore(tmp_path / "state/payloads"), PayloadStore(tmp_path / "state/payloads")
    references = [store.put(content) for content in CONTENT]
    store.write_out()
    assert [store.get(reference) for reference in references] == CONTENT
    for reference in references:
        calls = disk.calls
        named = calls.index(("name", str(store.path(reference))))
        created = [path for what, path in calls[:named] if what == "create" and path.endswith(".partial")]
        assert all(("sync", path) in calls[:named] for path in created)
    assert {Path(path) for path in disk.unsynced()} >= {store.path(reference).parent for reference in references}
    who_commits.sync_names(references)
    assert disk.unsynced() == []


def test_a_folder_is_synced_once_for_all_that_came_into_it(disk: Disk, tmp_path: Path) -> None:
    stores = [PayloadStore(tmp_path / "payloads") for _ in range(3)]
    contents = [str(number).encode() for number in range(600)]
    references = {stores[number % 3].put(content) for number, content in enumerate(contents)}
    for store in stores:
        store.write_out()
    assert [path for what, path in disk.calls if what == "sync" and Path(path).is_dir()] == []
    store = PayloadStore(tmp_path / "payloads")
    store.sync_names(references)
    folders = {str(store.path(reference).parent) for reference in references}
    assert sum(what == "sync" and path in folders for what, path in disk.calls) == len(folders) < len(contents)
    disk.calls.clear()
    store.write_out()
    store.sync_names([])
    assert disk.calls == []


def test_the_way_to_the_store_is_synced_only_for_a_folder_that_was_not_there(disk: Disk, tmp_path: Path) -> None:
    store = PayloadStore(tmp_path / "payloads")
    found: dict[str, list[bytes]] = {}
    for number in range(600):
        content = str(number).encode()
        found.setdefault(hashlib.sha256(content).hexdigest()[:2], []).append(content)
    one, other, another = next(contents for contents in found.values() if len(contents) > 2)[:3]
    on_disk(store, one)
    assert ("sync", str(tmp_path / "payloads")) in disk.calls
    disk.calls.clear()
    on_disk(store, other)
    assert disk.unsynced() == []
    assert ("sync", str(tmp_path / "payloads")) not in disk.calls
    on_disk(store, next(contents[0] for contents in found.values() if another not in contents))
    assert ("sync", str(tmp_path / "payloads")) in disk.calls
    assert disk.unsynced() == []


def test_only_what_nobody_is_writing_any_more_is_a_leftover(tmp_path: Path) -> None:
    dead, living = PayloadStore(tmp_path / "payloads"), PayloadStore(tmp_path / "payloads")
    left = dead.put(b"one")
    ((fd, partial_file),) = dead._unsynced.values()
    os.close(fd)  # as death does
    reference = living.put(b"other")
    assert living.remove_leftovers() == 1
    assert not partial_file.exists()
    living.write_out()
    assert living.get(reference) == b"other"
    assert living.remove_leftovers() == 0
    assert not living.path(left).exists()


@pytest.mark.parametrize("when", ["before the lock", "behind the lock"])
def test_a_file_that_was_just_taken_for_a_leftover_is_begun_anew(
    when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, tried = fcntl.flock, []

    def disturbed(fd: int, operation: int) -> None:
        tried.append(fd)
        if len(tried) == 1:
            path = Path(f"/proc/self/fd/{fd}").readlink()
            path.unlink()
            if when == "before the lock":
                raise BlockingIOError
        real(fd, operation)

    monkeypatch.setattr(fcntl, "flock", disturbed)
    store = PayloadStore(tmp_path / "payloads")
    reference = store.put(b"one")
    store.write_out()
    assert len(tried) == 2
    assert store.get(reference) == b"one"


def test_what_a_process_that_died_left_without_a_durable_name_gets_one(disk: Disk, tmp_path: Path) -> None:
    dead = PayloadStore(tmp_path / "payloads")
    reference = dead.put(b"one")
    dead.write_out()
    disk.calls.clear()
    assert on_disk(PayloadStore(tmp_path / "payloads"), b"one") == reference
    assert {path for what, path in disk.calls if what == "sync"} >= {
        str(dead.path(reference).parent), str(tmp_path / "payloads"), str(tmp_path)
    }  # fmt: skip


def test_a_payload_is_for_its_owner_alone_and_no_link_in_its_way_is_followed(tmp_path: Path) -> None:
    store = PayloadStore(tmp_path / "payloads")
    reference = store.put(b"one")
    store.write_out()
    assert stat.S_IMODE(store.path(reference).stat().st_mode) == 0o600
    assert [path.name for path in store.path(reference).parent.iterdir()] == [reference[2:]]


def test_a_disk_that_takes_no_more_is_said_and_nothing_half_written_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    store = PayloadStore(tmp_path / "payloads")
    reference = store.put(b"one")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Temporary, match="the disk is full"):
        store.write_out()
    assert [path for path in (tmp_path / "payloads").rglob("*") if path.is_file()] == []
    monkeypatch.undo()
    assert store.put(b"one") == reference
    store.write_out()
    assert store.get(reference) == b"one"


def test_a_name_that_cannot_be_brought_to_disk_is_said_and_no_file_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(fd: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    store = PayloadStore(tmp_path / "payloads")
    references = [store.put(content) for content in CONTENT]
    store.write_out()
    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Temporary, match="the disk reports an input/output error"):
        store.sync_names(references)
    assert [store.get(reference) for reference in references] == CONTENT


@pytest.mark.parametrize(
    "text",
    ["../../etc/passwd", "", "ab", "A" * 64, "0" * 63, "0" * 65, "0" * 62 + "/x", "0" * 64 + "\n", "/etc/pass"],
)
def test_only_64_hexadecimal_digits_are_a_reference(text: str, tmp_path: Path) -> None:
    assert not is_reference(text)
    with pytest.raises(NotAReference):
        PayloadStore(tmp_path).path(text)
    shown = PayloadReader((tmp_path,), purged=False).read(None, text)
    assert (shown["values"], "no reference" in shown["kept"]) == (None, True)


def test_a_hash_is_a_reference() -> None:
    assert is_reference(hashlib.sha256(b"").hexdigest())
