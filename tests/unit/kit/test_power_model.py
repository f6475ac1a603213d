"""The model of a disk loses what was not synced, keeps what was, and a recording is read as strace writes it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.kit.power.disk import MODELS, PAGE, Disk
from tests.kit.power.recording import Call, NotRecordable, calls

STRACE = """\
7  openat(AT_FDCWD<{root}>, "{a}", O_RDWR|O_CREAT|O_CLOEXEC, 0600) = 5<{root}{slash}{a}>
7  pwrite64(5<{root}{slash}{a}>, "\\x68\\x69", 2, 10) = 2
7  fsync(5<{root}{slash}{a}> <unfinished ...>
8  pwrite64(6<{root}{slash}{a}>, "\\x21", 1, 12) = 1
7  <... fsync resumed>) = 0
8  rename("{a}", "{b}") = 0
8  write(1<pipe:[9]>, "\\x68", 1) = 1
8  unlink("{a}") = -1 ENOENT (No such file or directory)
8  openat(AT_FDCWD<{root}>, "{b}", O_RDONLY) = 5<{root}{slash}{b}>
"""


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def traced(folder: Path, text: str = STRACE) -> list[Call]:
    trace = folder.with_name("trace")
    names = {name: hexed(name) for name in "ab"}
    trace.write_text(text.format(root=hexed(str(folder)), slash=hexed("/"), **names), encoding="ascii")
    return list(calls(trace, folder))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "folder"
    made.mkdir()
    return made


def left(disk: Disk, cut: int, model: str = "strict", seed: int = 0) -> dict[str, bytes]:
    return {str(path): content for path, _, content in disk.kept(cut, model, random.Random(seed)).files()}


def changed(folder: Path, *made: Call) -> Disk:
    disk = Disk(folder)
    disk.apply(made)
    return disk


def test_calls_below_a_folder_are_read_in_the_order_of_their_ends(folder: Path) -> None:
    found = traced(folder)
    assert [(call.name, call.path.name, call.begun) for call in found] == [
        ("open", "a", 0), ("write", "a", 1), ("write", "a", 2), ("sync", "a", 2), ("rename", "a", 4),
    ]  # fmt: skip
    assert [(call.data, call.offset) for call in found[1:3]] == [(b"hi", 10), (b"!", 12)]
    assert found[-1].new_path == folder / "b"


CUT_OFF = """\
7  openat(AT_FDCWD<{root}>, "{a}", O_RDWR|O_CREAT|O_CLOEXEC, 0600 <unfinished ...>
8  rename("{b}", "{a}") = ?
"""


@pytest.mark.parametrize("carried_out", [True, False])
def test_of_a_call_in_which_somebody_died_the_disk_says_whether_it_was_carried_out(
    carried_out: bool, folder: Path
) -> None:
    (folder / "b").write_bytes(b"b")
    disk = Disk(folder)
    found = traced(folder, CUT_OFF)
    assert [(call.name, call.cut_off) for call in found] == [("rename", True), ("open", True)]
    if carried_out:
        (folder / "b").rename(folder / "a")
    disk.apply(found)
    modelled = {str(path): content for path, _, content in disk.whole().files()}
    assert modelled == ({"a": b"b"} if carried_out else {"b": b"b"})


@pytest.mark.parametrize("line", ['7  sendfile(5<{root}{slash}{a}>, 6<{root}{slash}{b}>, NULL, 9) = 9\n',
                                  '7  linkat(AT_FDCWD, "{a}", AT_FDCWD, "{b}", 0) = 0\n'])  # fmt: skip
def test_a_call_that_the_model_does_not_know_is_refused(line: str, folder: Path) -> None:
    with pytest.raises(NotRecordable, match="not understood"):
        traced(folder, line)


def test_what_was_written_while_a_sync_was_under_way_is_not_durable(folder: Path) -> None:
    disk = changed(folder, *traced(folder)[:4], Call("sync", folder, 4))
    assert left(disk, 5) == {"a": bytes(10) + b"hi"}
    assert left(disk, 4) == {}  # its name was not synced


def test_of_a_rename_the_old_name_or_the_new_one_is_there(folder: Path) -> None:
    (folder / "a").write_bytes(b"old")
    disk = changed(folder, Call("rename", folder / "a", 0, new_path=folder / "b"), Call("sync", folder, 1))
    assert left(disk, 1) == {"a": b"old"}
    assert left(disk, 2) == {"b": b"old"}
    for model in MODELS:
        assert all(list(left(disk, 1, model, seed)) in (["a"], ["b"]) for seed in range(20))


def test_a_cut_comes_back_unless_it_was_synced(folder: Path) -> None:
    (folder / "a").write_bytes(b"old file")
    disk = changed(folder, Call("resize", folder / "a", 0, offset=0), Call("sync", folder / "a", 1))
    assert left(disk, 1) == {"a": b"old file"}
    assert left(disk, 2) == {"a": b""}


def test_pages_of_a_write_are_torn(folder: Path) -> None:
    (folder / "a").write_bytes(b"")
    disk = changed(folder, Call("write", folder / "a", 0, b"x" * 8 * PAGE, 0))
    found = {left(disk, 1, "torn", seed)["a"] for seed in range(50)}
    assert any(0 < content.count(b"x") < 8 * PAGE and b"\0" in content for content in found)
    assert all(content.count(b"x") % PAGE == 0 for content in found)


@pytest.mark.parametrize("model", MODELS)
def test_what_was_synced_is_kept_by_every_model(model: str, folder: Path) -> None:
    disk = changed(
        folder, Call("open", folder / "a", 0, flags="O_CREAT"), Call("write", folder / "a", 1, b"one", 0),
        Call("sync", folder / "a", 2), Call("sync", folder, 3), Call("write", folder / "a", 4, b"two", 3),
    )  # fmt: skip
    found = {left(disk, 5, model, seed)["a"] for seed in range(30)}
    assert found == ({b"one"} if model == "strict" else {b"one", b"onetwo"})


def test_names_come_in_order_on_a_disk_that_keeps_a_journal(folder: Path) -> None:
    disk = changed(folder, *(Call("open", folder / name, 0, flags="O_CREAT") for name in "abcdef"))
    for seed in range(30):
        found = "".join(sorted(left(disk, 6, "ext4", seed)))
        assert "abcdef".startswith(found)
    assert {"".join(sorted(left(disk, 6, "torn", seed))) for seed in range(30)} - {"", "a", "ab", "abc", "abcd"}
