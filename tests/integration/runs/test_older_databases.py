"""Whether `run`, `resume` and `purge` bring an older database forward on the way, or say why not and leave it be."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from elspeth.audit.store import schema
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.locks import AttemptLock, lock_path
from elspeth.runs.operate.migration import LIMIT
from tests.kit.fixtures.unpack import results, run_ids, unpack
from tests.kit.processes.running import elspeth, tree

RESUME = ("resume", "latest", "--working-directory", ".", "--accept-changed-code")
RUN = ("run", "--execute")
PURGE = ("purge", "--run", "latest")
GIVE_UP = ("doctor", "--mark-failed", "latest")
FIX = ("doctor", "--fix")
OF = {RESUME: "interrupted", (*RUN, "--force-new"): "interrupted", RUN: "completed", PURGE: "completed",
      GIVE_UP: "interrupted"}  # fmt: skip
"""What writes to a database, and a kept one to which it would."""

COMMANDS = pytest.mark.parametrize("words", OF, ids=" ".join)


def database_of(folder: Path) -> Path:
    return folder / "runs" / "audit.db"


def kept(words: tuple[str, ...], tmp_path: Path) -> Path:
    """The folder of a kept run of layout 1, its database one file, so that what is in it can be compared."""
    folder = unpack(OF[words], tmp_path / "kept", layout=1)
    with closing(sqlite3.connect(database_of(folder))) as database:
        database.execute("PRAGMA journal_mode = DELETE")
    return folder


def grown_to(size: int, path: Path) -> None:
    """A database of this size, most of which is a hole behind its last page that takes no room on the disk."""
    os.truncate(path, size)


def version(path: Path) -> int | None:
    with closing(sqlite3.connect(path)) as database:
        return schema.version(database)


def content(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


@COMMANDS
def test_a_database_that_is_too_large_is_left_to_the_doctor(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = kept(words, tmp_path)
    database = database_of(folder)
    before, outputs = content(database), tree(folder / "output")
    grown_to(LIMIT + 1, database)
    done = elspeth(*words, cwd=folder)
    assert done.returncode == 75, done.stderr
    assert "has schema version 1 and is larger than 1,024 MiB" in done.stderr
    assert "Next: elspeth doctor --fix" in done.stderr
    assert (version(database), content(database)) == (1, before)
    assert (database.stat().st_size, tree(folder / "output")) == (LIMIT + 1, outputs)


def test_it_is_named_where_the_doctor_would_not_find_it(tmp_path: Path) -> None:
    folder = kept(RUN, tmp_path)
    (folder / "elsewhere").mkdir()
    database = folder / "elsewhere" / "trail.db"
    database_of(folder).rename(database)
    grown_to(LIMIT + 1, database)
    done = elspeth(*RUN, "--set", "landscape.url=sqlite:///elsewhere/trail.db", cwd=folder)
    assert done.returncode == 75, done.stderr
    assert f"Next: elspeth doctor --database {database} --fix" in done.stderr


def test_one_of_just_that_size_is_brought_forward_on_the_way(tmp_path: Path) -> None:
    folder, whole = kept(RESUME, tmp_path), unpack("completed", tmp_path / "whole", layout=1)
    grown_to(LIMIT, database_of(folder))
    done = elspeth(*RESUME, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert f"is brought from version 1 to {schema.VERSION}" in done.stderr
    assert f"version 1 to {schema.VERSION}: table 1 of" in done.stderr
    assert f"version 1 to {schema.VERSION}: comparing run 1 of 1" in done.stderr
    assert version(database_of(folder)) == schema.VERSION
    assert results(folder) == results(whole)


def test_the_doctor_brings_a_larger_one_forward_and_gives_room_back(tmp_path: Path) -> None:
    folder = kept(RESUME, tmp_path)
    database = database_of(folder)
    grown_to(LIMIT + 1, database)
    done = elspeth(*FIX, cwd=folder)
    assert f"schema brought from version 1 to {schema.VERSION}" in done.stdout, done.stderr
    assert version(database) == schema.VERSION
    assert database.stat().st_size < LIMIT // 100
    (run,) = run_ids(folder)
    assert elspeth("verify", run, cwd=folder).returncode == 0
    assert elspeth(*RESUME, cwd=folder).returncode == 0


@COMMANDS
def test_while_another_run_of_it_lives_it_is_left_as_it_is(words: tuple[str, ...], tmp_path: Path) -> None:
    folder = kept(words, tmp_path)
    database = database_of(folder)
    before, outputs = content(database), tree(folder / "output")
    with AttemptLock.acquire(current(lock_path(database, "zzzzzzzz", 1))):
        done = elspeth(*words, cwd=folder)
    assert done.returncode == 75, done.stderr
    assert f"has schema version 1 and is in use, so it is not brought to {schema.VERSION} now" in done.stderr
    assert "a run in it is alive: zzzzzzzz.1 (its lock is held)" in done.stderr
    assert "wait for its end" in done.stderr
    assert (version(database), content(database)) == (1, before)
    assert tree(folder / "output") == outputs
    again = elspeth(*words, cwd=folder)
    assert again.returncode == 0, again.stderr
    assert version(database) == schema.VERSION


@pytest.fixture
def narrow(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk that is too small for what bringing a database forward takes meanwhile."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)]
    if os.geteuid() or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("a small disk needs root, and a system that lets it mount")
    yield kept(RESUME, disk)
    subprocess.run(["umount", str(disk)], check=True)


def test_without_room_it_is_left_as_it_is_until_there_is_some(narrow: Path) -> None:
    database = database_of(narrow)
    before = content(database)
    for words in (RESUME, FIX):
        done = elspeth(*words, cwd=narrow)
        assert done.returncode == 75, (words, done.stderr)
        assert "there is not enough room to bring" in done.stderr
    assert (version(database), content(database)) == (1, before)
    subprocess.run(["mount", "-o", "remount,size=64m", str(narrow.parent)], check=True)
    done = elspeth(*RESUME, cwd=narrow)
    assert done.returncode == 0, done.stderr
    assert version(database) == schema.VERSION
