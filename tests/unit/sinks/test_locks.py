"""One process at a time writes an output; a take-over leaves the old holder with a file nobody sees."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from elspeth.errors import OutputDamaged, RunInProgress, TakenOver
from elspeth.plugins.contract import Context, Position
from elspeth.plugins.sinks.files import FileOutput

ROWS = [{"n": n} for n in range(3)]

HOLDER = """
import sys
from pathlib import Path
from elspeth.plugins.sinks.csv_sink import CsvSink, CsvSinkOptions
sink = CsvSink(CsvSinkOptions(path=Path(sys.argv[1])))
sink.open(sink.inspect())
sink.write([{"n": 0}])
sink.flush()
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that writes the output and waits until its input closes."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    place = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=place)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


@pytest.fixture
def position(make_sink: Any) -> Position:
    sink = make_sink("csv")
    sink.open(sink.inspect())
    sink.write(ROWS[:1])
    position: Position = sink.flush()
    sink.close()
    return position


def test_an_output_that_another_process_writes_is_refused(position, holder, tmp_path: Path, make_sink) -> None:
    with pytest.raises(RunInProgress, match=r"Run already in progress: another process is writing .*out"):
        make_sink("csv").open(position)
    assert (tmp_path / "out").read_bytes() == b"n\r\n0\r\n"


def test_looking_at_an_output_does_not_disturb_its_writer(position, holder, make_sink) -> None:
    make_sink("csv").check(position)
    make_sink("csv").inspect()
    with pytest.raises(RunInProgress):
        make_sink("csv").open(position)


def test_the_lock_ends_with_the_process_that_held_it(position, holder, make_sink) -> None:
    holder.kill()
    holder.wait()
    make_sink("csv").open(position)


def test_a_symbolic_link_is_locked_as_the_file_it_names(position, holder, tmp_path: Path, make_sink) -> None:
    (tmp_path / "link").symlink_to("out")
    sink = make_sink("csv", "link")
    base = sink.inspect()
    with pytest.raises(RunInProgress):
        sink.open(base)
    assert (tmp_path / "link").is_symlink()


def test_a_take_over_needs_no_lock_and_the_old_writer_changes_nothing_any_more(tmp_path: Path, make_sink) -> None:
    zombie = make_sink("csv")
    zombie.open(zombie.inspect())
    zombie.write(ROWS[:1])
    position = zombie.flush()
    zombie.write(ROWS[1:2])  # in its buffer when it froze

    heir = make_sink("csv")
    assert heir.open(position, replace=True) == []
    heir.write(ROWS[1:])
    heir.finish()
    expected = b"n\r\n0\r\n1\r\n2\r\n"
    assert (tmp_path / "out").read_bytes() == expected

    zombie.write(ROWS[2:])
    with pytest.raises(OutputDamaged, match="replaced by another file"):
        zombie.flush()
    os.write(zombie.output._fd, b"even past every check")
    assert (tmp_path / "out").read_bytes() == expected


def test_a_take_over_keeps_what_the_old_writer_wrote_past_the_position(tmp_path: Path, make_sink) -> None:
    zombie = make_sink("csv")
    zombie.open(zombie.inspect())
    zombie.write(ROWS[:1])
    position = zombie.flush()
    zombie.write(ROWS[1:])
    zombie.flush()

    (cut,) = make_sink("csv").open(position, replace=True)
    assert Path(cut.copy).read_bytes() == b"1\r\n2\r\n"
    assert (tmp_path / "out").read_bytes() == b"n\r\n0\r\n"


def test_the_copy_of_a_take_over_is_locked_and_keeps_the_mode(position, tmp_path: Path, make_sink) -> None:
    (tmp_path / "out").chmod(0o640)
    heir = make_sink("csv")
    heir.open(position, replace=True)
    with pytest.raises(RunInProgress):
        make_sink("csv").open(position)
    assert (tmp_path / "out").stat().st_mode & 0o777 == 0o640
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_copy_that_an_interrupted_take_over_left_behind_is_removed(position, tmp_path: Path, make_sink) -> None:
    name = f"{FileOutput(tmp_path / 'out', tmp_path)._copies()}0123456789abcdef.takeover"
    (tmp_path / name).write_bytes(b"half a copy, longer than the output itself")
    make_sink("csv").open(position, replace=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out").read_bytes() == b"n\r\n0\r\n"


def test_a_link_still_points_to_the_output_after_a_take_over(position, tmp_path: Path, make_sink) -> None:
    (tmp_path / "link").symlink_to("out")
    heir = make_sink("csv", "link")
    heir.open(position | {"path": str(tmp_path / "link")}, replace=True)
    heir.write(ROWS[1:])
    heir.finish()
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "out").read_bytes() == b"n\r\n0\r\n1\r\n2\r\n"


@pytest.mark.parametrize("replace", [False, True], ids=["in-place", "replace"])
def test_a_sink_whose_run_was_taken_over_changes_nothing(replace: bool, position, tmp_path: Path, make_sink) -> None:
    def not_ours() -> None:
        raise TakenOver("attempt 2 drives this run")

    with (tmp_path / "out").open("ab") as file:
        file.write(b"the heir's rows\n")
    late = make_sink("csv")
    late.setup(Context(run_id="r", node_id="out", state_directory=tmp_path / "state", _prove=not_ours))
    with pytest.raises(TakenOver):
        late.open(position, replace=replace)
    assert (tmp_path / "out").read_bytes() == b"n\r\n0\r\nthe heir's rows\n"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    make_sink("csv").open(position)  # and it holds no lock


def test_a_sink_that_is_closed_leaves_no_file_open(position, make_sink) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for replace in (False, True):
        sink = make_sink("csv")
        sink.open(position, replace=replace)
        sink.close()
    assert len(list(Path("/proc/self/fd").iterdir())) == before
