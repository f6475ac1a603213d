"""The lock of an attempt, within one process: locks belong to open files, so that threads meet like processes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import RunInProgress, Temporary
from elspeth.runs.liveness import locks
from elspeth.runs.liveness.identity import AttemptIdentity, current
from elspeth.runs.liveness.locks import AttemptLock, lock_path, probe, sweep


@pytest.fixture
def me(tmp_path: Path) -> AttemptIdentity:
    return current(lock_path(tmp_path / "audit.db", "mf3k2a9x", 1))


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_the_lock_lies_beside_the_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert lock_path(Path("runs/audit.db"), "mf3k2a9x", 2) == tmp_path / "runs" / "locks" / "mf3k2a9x.2.lock"


def test_a_lock_is_held_until_it_is_let_go_and_its_file_stays(me: AttemptIdentity) -> None:
    path = Path(me.lock_path)
    assert probe(path).state == "unreachable"
    with AttemptLock.acquire(me):
        assert probe(path).state == "held"
    assert probe(path).state == "free"
    assert path.exists()
    with AttemptLock.acquire(me):
        assert probe(path).state == "held"


def test_a_second_holder_is_refused_and_told_who_the_first_is(me: AttemptIdentity) -> None:
    with AttemptLock.acquire(me), pytest.raises(RunInProgress, match="Run already in progress") as caught:
        AttemptLock.acquire(me)
    assert f"pid {os.getpid()} on {me.host}" in caught.value.details[0]
    assert probe(Path(me.lock_path)).state == "free"


def test_a_refused_or_ended_attempt_leaves_no_descriptor_open(me: AttemptIdentity) -> None:
    before = descriptors()
    with AttemptLock.acquire(me), pytest.raises(RunInProgress):
        AttemptLock.acquire(me)
    for _ in range(5):
        probe(Path(me.lock_path))
    assert descriptors() == before


def test_the_file_tells_people_who_holds_it(me: AttemptIdentity) -> None:
    with AttemptLock.acquire(me):
        text = json.loads(Path(me.lock_path).read_text())
    assert text == {**asdict(me), "inode": Path(me.lock_path).stat().st_ino}


def test_fifty_who_ask_at_once_never_make_an_attempt_to_lock_fail(me: AttemptIdentity) -> None:
    path = Path(me.lock_path)
    AttemptLock.acquire(me).release()
    together = threading.Event()  # otherwise the first are done before the last are started

    def ask() -> None:
        together.wait()
        for _ in range(20):
            probe(path)

    askers = [threading.Thread(target=ask) for _ in range(50)]
    for asker in askers:
        asker.start()
    taken = 0
    together.set()
    try:
        while any(asker.is_alive() for asker in askers):
            AttemptLock.acquire(me, patience=0.0).release()
            taken += 1
    finally:
        for asker in askers:
            asker.join()
    assert taken


def test_somebody_can_lock_in_the_middle_of_a_question(me: AttemptIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    AttemptLock.acquire(me).release()
    real = {"fcntl": fcntl.fcntl, "flock": fcntl.flock}
    taken: list[str] = []

    def then_lock(name: str) -> Any:
        def asked(*arguments: Any) -> Any:
            answer = real[name](*arguments)
            with monkeypatch.context() as undone:
                for other, function in real.items():
                    undone.setattr(locks.fcntl, other, function)
                AttemptLock.acquire(me, patience=0.0).release()
            taken.append(name)
            return answer

        return asked

    for name in real:
        monkeypatch.setattr(locks.fcntl, name, then_lock(name))
    assert probe(Path(me.lock_path)).state == "free"
    assert taken == ["fcntl"]


def test_flock_of_the_shell_sees_the_lock(me: AttemptIdentity) -> None:
    with AttemptLock.acquire(me), Path(me.lock_path).open("rb") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)


def test_a_flock_that_goes_away_is_waited_for_and_one_that_stays_is_not(me: AttemptIdentity) -> None:
    AttemptLock.acquire(me).release()
    with Path(me.lock_path).open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        with pytest.raises(RunInProgress):
            AttemptLock.acquire(me, patience=0.02, pause=lambda seconds: None)
        with AttemptLock.acquire(me, pause=lambda seconds: fcntl.flock(file, fcntl.LOCK_UN)):
            assert probe(Path(me.lock_path)).state == "held"


def test_where_there_are_no_ofd_locks_the_flock_decides(me: AttemptIdentity, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(locks.fcntl, "fcntl", refuse)
    with AttemptLock.acquire(me):
        assert probe(Path(me.lock_path)).state == "held"
        with pytest.raises(RunInProgress):
            AttemptLock.acquire(me, patience=0.0)
    assert probe(Path(me.lock_path)).state == "free"


def test_a_copy_of_a_lock_file_is_not_the_lock(me: AttemptIdentity) -> None:
    path = Path(me.lock_path)
    with AttemptLock.acquire(me):
        copy = path.with_suffix(".copy")
        copy.write_bytes(path.read_bytes())
        assert probe(copy).state == "unreachable"
        assert "a copy of the lock file" in probe(copy).detail


@pytest.mark.parametrize("content", ["", "not json", "[1]", "{}"])
def test_a_file_that_no_holder_described_says_nothing(me: AttemptIdentity, content: str) -> None:
    path = Path(me.lock_path)
    path.parent.mkdir()
    path.write_text(content)
    assert probe(path).state == "unreachable"


def test_a_folder_that_cannot_be_made_is_named(me: AttemptIdentity) -> None:
    Path(me.lock_path).parent.write_text("a file where the folder should be")
    with pytest.raises(Temporary, match=r"mf3k2a9x\.1\.lock cannot be used: "):
        AttemptLock.acquire(me)


@pytest.mark.parametrize(("number", "mended"), [(errno.ENOSPC, "Make room"), (errno.EACCES, "writable")])
def test_what_stands_in_the_way_of_a_lock_says_how_it_is_mended(
    me: AttemptIdentity, monkeypatch: pytest.MonkeyPatch, number: int, mended: str
) -> None:
    def refuse(*args: Any, **options: Any) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.os, "open", refuse)
    with pytest.raises(Temporary) as caught:
        AttemptLock.acquire(me)
    assert mended in str(caught.value.next_step)


def test_a_lock_s_text_and_name_are_synced_once_before_it_counts(
    me: AttemptIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, int]] = []
    sync = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), os.fstat(descriptor).st_size))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with AttemptLock.acquire(me):
        path = Path(me.lock_path)
        assert [place for place, _ in synced] == [str(path), str(path.parent), str(path.parent.parent)]
        assert synced[0][1] == path.stat().st_size > 0


def test_a_lock_on_a_file_that_was_deleted_meanwhile_is_no_lock(
    me: AttemptIdentity, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, taken = Path(me.lock_path), []
    take = locks._take_ofd

    def delete_first(descriptor: int) -> bool:
        taken.append(os.fstat(descriptor).st_ino)
        if len(taken) == 1:
            path.unlink()  # by whoever held it until now
        return take(descriptor)

    monkeypatch.setattr(locks, "_take_ofd", delete_first)
    before = descriptors()
    with AttemptLock.acquire(me):
        assert len(taken) == 2
        assert path.stat().st_ino == taken[-1]
        assert probe(path).state == "held"
    assert descriptors() == before


def test_a_lock_that_is_discarded_takes_its_file_along_but_no_other_of_that_name(me: AttemptIdentity) -> None:
    path = Path(me.lock_path)
    lock = AttemptLock.acquire(me)
    lock.discard()
    assert not path.exists()
    lock = AttemptLock.acquire(me)
    path.unlink()
    with AttemptLock.acquire(me):
        lock.discard()
        assert probe(path).state == "held"


def test_a_sweep_takes_what_nobody_holds(me: AttemptIdentity, tmp_path: Path) -> None:
    held, free = Path(me.lock_path), tmp_path / "free.lock"
    free.touch()
    (tmp_path / "link.lock").symlink_to(held)
    with AttemptLock.acquire(me):
        assert sweep([held, free, tmp_path / "link.lock", tmp_path / "missing.lock"]) == [free]
        assert probe(held).state == "held"
    assert (tmp_path / "link.lock").is_symlink()
