"""An output that is not what the checkpoint says is found before anything is written, and said in plain words."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import OutputDamaged
from elspeth.plugins.contract import Position, Sink

ROWS = [{"id": n, "name": f"name {n}"} for n in range(20)]


def deleted(path: Path) -> None:
    path.unlink()


def shortened(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def emptied(path: Path) -> None:
    os.truncate(path, 0)


def edited(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"name 7", b"NAME 7"))


def replaced(path: Path) -> None:
    size = path.stat().st_size
    path.unlink()
    path.write_bytes(b"x" * size * 2)


def turned_into_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def turned_into_a_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


@pytest.fixture
def position(make_sink: Any) -> Position:
    """Where the sink stood when its process ended."""
    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write(ROWS)
    position: Position = sink.flush()
    sink.close()
    return position


DAMAGES = [
    (deleted, "is missing: it was deleted or moved"),
    (shortened, "was shortened: it holds 228 bytes, the checkpoint says 229"),
    (emptied, "was shortened: it holds 0 bytes"),
    (edited, "was edited: its first 229 bytes"),
    (replaced, "was edited"),
]


@pytest.mark.parametrize("replace", [False, True], ids=["in-place", "take-over"])
@pytest.mark.parametrize(("damage", "words"), DAMAGES, ids=[d.__name__ for d, _ in DAMAGES])
def test_damage_is_refused_and_nothing_is_changed(
    damage: Callable[[Path], None], words: str, replace: bool, position: Position, tmp_path: Path, make_sink: Any
) -> None:
    path = tmp_path / "out"
    damage(path)
    before = path.read_bytes() if path.exists() else None
    names = sorted(tmp_path.iterdir())

    with pytest.raises(OutputDamaged, match=words) as caught:
        make_sink("csv").check(position)
    assert str(path) in caught.value.message
    assert "--force-new" in caught.value.next_step
    with pytest.raises(OutputDamaged, match=words):
        make_sink("csv").open(position, replace=replace)

    assert (path.read_bytes() if path.exists() else None) == before
    assert sorted(tmp_path.iterdir()) == names


def held(folder: Path) -> list[str]:
    """The files below a folder that this process holds open."""
    found = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # the one that lists them
            found.append(str(descriptor.readlink()))
    return [name for name in found if name.startswith(f"{folder}/")]


@pytest.mark.parametrize("damage", [None, shortened, edited, turned_into_a_folder, turned_into_a_pipe])
def test_who_only_looked_and_who_was_refused_holds_nothing_open(
    damage: Callable[[Path], None] | None, position: Position, tmp_path: Path, make_sink: Any
) -> None:
    sink = make_sink("csv")
    if damage is None:
        sink.check(position)
        assert held(tmp_path) == []
        sink.open(position)
        assert held(tmp_path) == [str(tmp_path / "out")]
        sink.close()
        assert held(tmp_path) == []
        return
    damage(tmp_path / "out")
    for refused in (sink.check, sink.open):
        with pytest.raises(OutputDamaged):
            refused(position)
    sink.close()
    assert held(tmp_path) == []


@pytest.mark.parametrize("damage", [turned_into_a_folder, turned_into_a_pipe])
def test_something_that_is_no_file_any_more_is_refused(damage: Any, position: Position, tmp_path, make_sink) -> None:
    damage(tmp_path / "out")
    with pytest.raises(OutputDamaged, match="no longer a regular file"):
        make_sink("csv").check(position)
    with pytest.raises(OutputDamaged, match="no longer a regular file"):
        make_sink("csv").open(position)


def test_an_output_that_only_grew_is_cut_back_and_the_growth_is_kept(position, tmp_path: Path, make_sink) -> None:
    with (tmp_path / "out").open("ab") as file:
        file.write(b"more")
    make_sink("csv").check(position)
    (cut,) = make_sink("csv").open(position)
    assert Path(cut.copy).read_bytes() == b"more"


def test_after_a_refusal_the_lock_is_free_again(position, tmp_path: Path, make_sink) -> None:
    good = (tmp_path / "out").read_bytes()
    shortened(tmp_path / "out")
    refused: Sink = make_sink("csv")
    with pytest.raises(OutputDamaged):
        refused.open(position)
    (tmp_path / "out").write_bytes(good)
    make_sink("csv").open(position)


WHILE_WRITING = [
    (deleted, "was deleted while it was being written"),
    (replaced, "was replaced by another file while it was being written"),
    (emptied, "changed from 229 to 0 bytes while it was being written"),
]


@pytest.mark.parametrize(("damage", "words"), WHILE_WRITING, ids=[d.__name__ for d, _ in WHILE_WRITING])
@pytest.mark.parametrize("more", [ROWS, []], ids=["with-rows", "idle"])
def test_damage_while_writing_is_found_at_the_next_flush(damage, words, more, position, tmp_path, make_sink) -> None:
    sink = make_sink("csv")
    sink.open(position)
    damage(tmp_path / "out")
    sink.write(more)
    with pytest.raises(OutputDamaged, match=words):
        sink.flush()


def test_bytes_that_another_program_added_are_not_written_over(position, tmp_path: Path, make_sink) -> None:
    sink = make_sink("csv")
    sink.open(position)
    with (tmp_path / "out").open("ab") as file:
        file.write(b"theirs\n")
    sink.write(ROWS)
    with pytest.raises(OutputDamaged, match="changed from 229 to 236 bytes"):
        sink.flush()
    assert (tmp_path / "out").read_bytes().endswith(b"theirs\n")


def test_what_was_checked_is_not_read_again_when_it_is_opened(position, make_sink, monkeypatch) -> None:
    sink = make_sink("csv")
    sink.check(position)
    monkeypatch.setattr("elspeth.plugins.sinks.files.running_hash", lambda *_: pytest.fail("read twice"))
    sink.open(position)
    sink.write(ROWS)
    monkeypatch.undo()
    final = sink.flush()
    sink.close()
    make_sink("csv").open(final)


@pytest.mark.parametrize("damage", [shortened, edited], ids=["shortened", "edited"])
def test_damage_between_the_check_and_the_opening_is_found(damage, position, tmp_path: Path, make_sink) -> None:
    sink = make_sink("csv")
    sink.check(position)
    damage(tmp_path / "out")
    with pytest.raises(OutputDamaged):
        sink.open(position)
