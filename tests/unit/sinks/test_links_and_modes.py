"""Nothing that somebody else laid is followed, no name of ours can be guessed, and no mode is widened."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import OutputDamaged, RunInProgress, SettingsError

STRANGER = 4242
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can lay a file that belongs to somebody else")


@pytest.fixture
def umask() -> Iterator[None]:
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def written(make_sink: Any, name: str = "out", **options: Any) -> Any:
    """A position behind one row, with another row behind it in the file."""
    sink = make_sink("csv", name, **options)
    sink.open(sink.inspect())
    sink.write([{"a": 1}])
    position = sink.flush()
    sink.write([{"a": 2}])
    sink.flush()
    sink.close()
    return position


def test_an_output_is_created_as_the_umask_says(umask: None, make_sink: Any, tmp_path: Path) -> None:
    written(make_sink)
    assert mode(tmp_path / "out") == 0o640


def test_an_output_is_created_with_the_mode_that_is_asked_for(umask: None, make_sink: Any, tmp_path: Path) -> None:
    written(make_sink, file_mode="0664")
    assert mode(tmp_path / "out") == 0o664


def test_an_output_that_is_there_keeps_its_mode_also_through_a_take_over(
    umask: None, make_sink: Any, tmp_path: Path
) -> None:
    (tmp_path / "out").touch()
    (tmp_path / "out").chmod(0o604)
    position = written(make_sink, file_mode="0664")
    assert mode(tmp_path / "out") == 0o604
    make_sink("csv").open(position, replace=True)
    assert mode(tmp_path / "out") == 0o604


def test_a_copy_of_a_cut_tail_is_for_its_owner_alone(make_sink: Any) -> None:
    position = written(make_sink)
    (cut,) = make_sink("csv").open(position)
    assert mode(Path(cut.copy)) == 0o600


@AS_ROOT
def test_a_link_that_somebody_else_laid_is_refused(make_sink: Any, tmp_path: Path) -> None:
    (tmp_path / "valuable").write_bytes(b"of somebody\n")
    (tmp_path / "out").symlink_to("valuable")
    os.lchown(tmp_path / "out", STRANGER, STRANGER)
    with pytest.raises(SettingsError, match=r"leads through the link .*out, which somebody else laid"):
        make_sink("csv").inspect()
    assert (tmp_path / "valuable").read_bytes() == b"of somebody\n"


@AS_ROOT
def test_a_link_that_somebody_else_laid_on_the_way_is_refused_when_it_comes_later(
    make_sink: Any, tmp_path: Path
) -> None:
    sink = make_sink("csv", "folder/out")
    position = sink.inspect()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "folder").symlink_to("elsewhere")
    os.lchown(tmp_path / "folder", STRANGER, STRANGER)
    with pytest.raises(OutputDamaged, match=r"leads through the link .*folder, which somebody else laid"):
        sink.open(position)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("replace", [False, True])
def test_ones_own_link_is_followed(replace: bool, make_sink: Any, tmp_path: Path) -> None:
    (tmp_path / "real").touch()
    (tmp_path / "out").symlink_to("real")
    make_sink("csv").open(written(make_sink), replace=replace)
    assert (tmp_path / "out").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"a\r\n1\r\n" or replace


@pytest.mark.parametrize("replace", [False, True])
def test_a_link_in_the_place_of_the_file_is_not_followed(replace: bool, make_sink: Any, tmp_path: Path) -> None:
    sink = make_sink("csv")
    position = written(make_sink)
    sink.check(position)  # what the name leads to is settled here
    (tmp_path / "out").rename(tmp_path / "valuable")
    (tmp_path / "out").symlink_to("valuable")
    with pytest.raises(OutputDamaged, match="no longer a regular file"):
        sink.open(position, replace=replace)
    assert (tmp_path / "valuable").read_bytes() == b"a\r\n1\r\n2\r\n"


def test_what_lies_under_a_name_that_was_guessed_before_is_left_alone(make_sink: Any, tmp_path: Path) -> None:
    position = written(make_sink)
    (tmp_path / "valuable").write_bytes(b"of somebody\n")
    (tmp_path / "state/cut").mkdir(parents=True)
    for name in (".out.takeover", "state/cut/.out-4.part"):
        (tmp_path / name).symlink_to(tmp_path / "valuable")
    make_sink("csv").open(position, replace=True)
    assert (tmp_path / "valuable").read_bytes() == b"of somebody\n"


def test_what_a_take_over_and_a_cut_left_that_died_is_removed_by_the_next(make_sink: Any, tmp_path: Path) -> None:
    position = written(make_sink)
    sink = make_sink("csv")
    sink.open(position)
    output = sink.output
    sink.close()
    left = tmp_path / f"{output._copies()}0123456789abcdef.takeover"
    left.write_bytes(b"half of it")
    with (tmp_path / "out").open("ab") as file:
        file.write(b"2\r\n")
    (cut,) = make_sink("csv").open(position, replace=True)
    assert not left.exists()
    assert [path.name for path in Path(cut.copy).parent.iterdir()] == [Path(cut.copy).name]


def test_two_take_overs_at_once_exclude_each_other(make_sink: Any, tmp_path: Path) -> None:
    import fcntl

    position = written(make_sink)
    first = make_sink("csv")
    first.open(position)
    under_way = tmp_path / f"{first.output._copies()}0123456789abcdef.takeover"
    with under_way.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(RunInProgress):
            make_sink("csv").open(position, replace=True)
    assert (tmp_path / "out").read_bytes() == b"a\r\n1\r\n"


@pytest.mark.parametrize("length", [240, 255])
def test_an_output_with_a_long_name_can_be_cut_and_taken_over(length: int, make_sink: Any, tmp_path: Path) -> None:
    name = "ü" * ((length - 4) // 2) + "o" * (length % 2) + ".csv"
    position = written(make_sink, name)
    (cut,) = make_sink("csv", name).open(position, replace=True)
    assert Path(cut.copy).read_bytes() == b"2\r\n"
    assert (tmp_path / name).read_bytes() == b"a\r\n1\r\n"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a" * 256, "a name in it has 256 bytes, 255 are possible"),
        ("new/" + "ü" * 128 + "/out", "a name in it has 256 bytes, 255 are possible"),
        ("/".join(["a" * 200] * 30), "its path is longer than 4,095 bytes"),
        ("out\0put", "no name can hold the character NUL"),
    ],
)
@pytest.mark.parametrize("policy", ["overwrite", "auto_increment"])
def test_a_name_that_no_file_can_have_is_found_at_the_start(
    policy: str, name: str, words: str, make_sink: Any, tmp_path: Path
) -> None:
    with pytest.raises(SettingsError, match=words):
        make_sink("csv", name, collision_policy=policy).inspect()
    assert list(tmp_path.iterdir()) == []
