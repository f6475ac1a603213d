"""How the file is opened and left, and what is said when it cannot be."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from pathlib import Path

import msgspec
import pytest

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database, schema, sqlite_file
from elspeth.audit.store.place import place_of
from elspeth.audit.writer import AuditWriter
from elspeth.errors import ElspethError, RunInProgress, SettingsError, Temporary
from elspeth.outputs import OutputInfo, SinkState
from tests.kit.fixtures.sample_run import ATTEMPT, RUN, RUN_COLUMNS, beginning, rows, write_run


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///./runs/audit.db", "runs/audit.db"),
        ("sqlite:///runs/audit.db", "runs/audit.db"),
        ("sqlite:////var/lib/audit.db", "/var/lib/audit.db"),
        ("sqlite:///with%20space.db", "with space.db"),
        ("runs/audit.db", "runs/audit.db"),
    ],
)
def test_a_url_names_a_file(url: str, path: str) -> None:
    assert place_of(url) == Path(path)


@pytest.mark.parametrize("url", ["mysql://h/d", "sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_what_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(SettingsError):
        place_of(url)


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def test_a_reader_leaves_nothing_beside_a_database_at_rest(path: Path) -> None:
    write_run(path)
    before = path.read_bytes()
    with AuditReader(path) as reader:
        assert reader.run(RUN).status == "completed"
    assert names(path.parent) == ["audit.db"]
    assert path.read_bytes() == before


def test_a_reader_never_creates_a_file(tmp_path: Path) -> None:
    with pytest.raises(ElspethError, match="there is no audit database"):
        AuditReader(tmp_path / "none.db")
    assert names(tmp_path) == []


def test_a_reader_does_not_block_the_writer_and_sees_whole_commits(path: Path) -> None:
    writer = AuditWriter(path)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    with AuditReader(path) as reader:
        reader.connection.execute("BEGIN")
        assert reader.row_count(RUN) == 0
        writer.commit(RUN, 1, rows(0, 5))
        assert reader.row_count(RUN) == 0
        reader.connection.execute("COMMIT")
        assert reader.row_count(RUN) == 5
        assert not writer.close()  # the reader still uses it
    last = AuditWriter(path)
    assert last.close()
    assert names(path.parent) == ["audit.db"]


def test_a_file_with_an_odd_name_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "a b?c%41#d" / "audit.db"
    write_run(path)
    with AuditReader(path) as reader:
        assert reader.run("latest").run_id == RUN


def test_the_database_of_another_program_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (a)")
    connection.close()
    before = path.read_bytes()
    for opening in (AuditWriter, AuditReader):
        with pytest.raises(ElspethError, match="is a database of another program"):
            opening(path)
    assert path.read_bytes() == before
    assert names(tmp_path) == ["other.db"]


def test_a_file_that_is_no_database_is_refused_and_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"these are not the tables you look for" * 100)
    before = path.read_bytes()
    for opening in (AuditWriter, AuditReader):
        with pytest.raises(ElspethError, match="is not a database"):
            opening(path)
    assert path.read_bytes() == before


def test_an_empty_file_is_refused_by_readers(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    with pytest.raises(ElspethError, match="is empty, not an audit database"):
        AuditReader(path)
    assert path.stat().st_size == 0


def test_a_newer_schema_is_refused(path: Path) -> None:
    write_run(path)
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {schema.VERSION + 1}")
    connection.close()
    for opening in (AuditWriter, AuditReader):
        with pytest.raises(ElspethError, match="knows versions up to"):
            opening(path)


def test_a_folder_that_cannot_be_made_is_temporary(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(Temporary, match="cannot be opened"):
        AuditWriter(tmp_path / "file" / "audit.db")


def test_a_writer_is_told_when_the_database_is_locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_run(path)
    monkeypatch.setattr(sqlite_file, "BUSY_SECONDS", 0.001)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(Temporary, match="locked by another program"):
        AuditWriter(path)
    other.close()


def test_a_crashed_writers_commits_are_read_from_its_side_file(path: Path, tmp_path: Path) -> None:
    writer = AuditWriter(path)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    writer.commit(RUN, 1, rows(0, 5))
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    for file in path.parent.iterdir():
        shutil.copy(file, crashed / file.name)
    writer.close()
    with AuditReader(crashed / "audit.db") as reader:
        assert reader.row_count(RUN) == 5
    AuditWriter(crashed / "audit.db").close()
    assert names(crashed) == ["audit.db"]


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone may mount")
def test_a_read_only_mount_can_be_read_even_in_write_ahead_mode(path: Path) -> None:
    write_run(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.close()
    assert names(path.parent) == ["audit.db"]
    folder = str(path.parent)
    if os.system(f"mount --bind '{folder}' '{folder}' 2>/dev/null") != 0:
        pytest.skip("this machine does not let us mount")
    try:
        assert os.system(f"mount -o remount,bind,ro '{folder}'") == 0
        with AuditReader(path) as reader:
            assert reader.row_count(RUN) == 30
        with pytest.raises(Temporary):
            AuditWriter(path)
    finally:
        os.system(f"umount '{folder}'")


MOUNTS = """\
22 1 0:20 / / rw,relatime - ext4 /dev/root rw
30 22 0:30 / /mnt/share rw,relatime shared:1 - nfs4 server:/export rw
31 30 0:31 / /mnt/share/local rw - tmpfs tmpfs rw
32 22 0:32 / /mnt/with\\040space rw - fuse.sshfs host: rw
"""


@pytest.mark.parametrize(
    ("place", "kind"),
    [
        ("/mnt/share/runs/audit.db", "nfs4"),
        ("/mnt/share/local/audit.db", None),
        ("/mnt/with space/audit.db", "fuse.sshfs"),
        ("/mnt/shared/audit.db", None),
        ("/home/audit.db", None),
    ],
)
def test_a_network_file_system_is_recognised(place: str, kind: str | None, tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert database.file_system(Path(place), mounts) == kind


def test_on_a_network_file_system_a_rollback_journal_is_used(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite_file, "file_system", lambda _: "nfs4")
    writer = AuditWriter(path)
    assert writer._connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    assert writer.commit(RUN, 1, rows(0, 5)) == 1
    assert writer.close()


def hot(path: Path, folder: Path) -> Path:
    """A copy of the database as somebody leaves it who dies in the middle of a transaction, with a rollback journal."""
    folder.mkdir()
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("PRAGMA cache_size = 2")
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE token_records SET source_data = hex(randomblob(4000))")
    for file in path.parent.glob("audit.db*"):
        shutil.copy(file, folder / file.name)
    connection.execute("ROLLBACK")
    connection.close()
    assert (folder / "audit.db-journal").stat().st_size > 0
    return folder / path.name


@pytest.fixture
def died(path: Path, tmp_path: Path) -> Path:
    write_run(path)
    return hot(path, tmp_path / "died")


def test_what_somebody_who_died_left_half_written_is_rolled_back_before_it_is_read(died: Path, path: Path) -> None:
    with AuditReader(died) as reader, AuditReader(path) as whole:
        assert reader.run(RUN) == whole.run(RUN)
        assert reader.row_count(RUN) == whole.row_count(RUN)
        assert reader.connection.execute("PRAGMA quick_check").fetchone() == ("ok",)
    assert names(died.parent) == ["audit.db"]


def test_where_it_cannot_be_rolled_back_that_is_what_is_said(died: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connect = sqlite3.connect

    def refuse(name: str, **more: object) -> sqlite3.Connection:
        if "mode=rw" in name:
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorcode = sqlite3.SQLITE_READONLY
            raise error
        return connect(name, **more)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(Temporary, match="before it is read that must be rolled back") as caught:
        AuditReader(died)
    assert "audit.db-journal" in caught.value.details[0]
    assert f"sqlite3 {died} 'select 1'" in caught.value.next_step


def test_a_writer_syncs_the_folder_behind_a_rollback_journal(path: Path) -> None:
    connection = database.open_writer(path)
    assert connection.execute("PRAGMA synchronous").fetchone() == (3,)  # EXTRA
    connection.close()


@pytest.mark.parametrize("what", ["deleted", "moved", "replaced", "linked"])
def test_a_database_that_is_not_in_its_place_any_more_takes_no_commit(path: Path, what: str) -> None:
    writer = AuditWriter(path)
    writer.create_run(RUN_COLUMNS, ATTEMPT, beginning())
    elsewhere = path.with_name("elsewhere.db")
    if what == "deleted":
        path.unlink()
    else:
        path.rename(elsewhere)
    if what == "replaced":
        shutil.copy(elsewhere, path)
    if what == "linked":
        path.symlink_to(elsewhere)
        writer.commit(RUN, 1, rows(0, 5))  # the same file by another way
    else:
        with pytest.raises(Temporary, match="while it was written to"):
            writer.commit(RUN, 1, rows(0, 5))
        with pytest.raises(Temporary, match="while it was written to"):
            writer.heartbeat(RUN, 1, 1, "2026-01-01T00:00:00.000Z")
    writer.close()


def test_a_damaged_database_is_named_and_a_large_one_is_not_looked_over_where_that_is_asked(path: Path) -> None:
    write_run(path)
    database.require_whole(path)
    size = path.stat().st_size
    with path.open("r+b") as file:
        for page in range(4096, size, 4096):
            file.seek(page)
            file.write(bytes(4096))
    with pytest.raises(ElspethError, match="is damaged"):
        database.require_whole(path)
    database.require_whole(path, size - 1)
    database.require_whole(path.with_name("none.db"))


def test_of_two_runs_that_start_at_once_with_one_output_the_second_leaves_no_trace(path: Path) -> None:
    def start(run_id: str, output: str, **more: object) -> None:
        state = msgspec.to_builtins(SinkState({}, OutputInfo(path=output, resolved=output)))
        message = json.dumps({"sinks": {"out": state}})
        checkpoint = (f"{run_id}#000000000", 1, 0, None, None, message, "2026-01-01T00:00:00.000Z")
        writer.create_run(RUN_COLUMNS | {"run_id": run_id}, ATTEMPT, {"checkpoints": [checkpoint]}, **more)  # type: ignore[arg-type]

    writer = AuditWriter(path)
    start("aaaaaaa1", "/data/out.csv")
    start("aaaaaaa2", "/data/other.csv")
    with pytest.raises(RunInProgress, match=r"run aaaaaaa1 writes /data/out\.csv, too, and began first"):
        start("aaaaaaa3", "/data/out.csv")
    start("aaaaaaa4", "/data/out.csv", supersedes=[("aaaaaaa1", 1)])
    writer.close()
    with AuditReader(path) as reader:
        assert [run.run_id for run in reader.runs()] == ["aaaaaaa4", "aaaaaaa2", "aaaaaaa1"]
