"""A real process killed at every named point of an output's life: the next one ends with the same bytes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

POINTS = [
    "sink.after_create", "sink.before_cut", "sink.after_cut", "sink.before_fsync", "sink.after_fsync",
    "sink.before_closing", "sink.after_closing",
]  # fmt: skip

WRITER = """
import json, sys
from pathlib import Path
from elspeth.plugins.contract import Context
from elspeth.plugins.sinks.json_sink import JsonSink, JsonSinkOptions
folder, replace = Path(sys.argv[1]), sys.argv[2] == "replace"
committed = folder / "committed"
sink = JsonSink(JsonSinkOptions(path=folder / "out"))
sink.setup(Context(run_id="r", node_id="out", state_directory=folder / "state"))
if not committed.exists():
    committed.write_text(json.dumps(sink.inspect()))
position = json.loads(committed.read_text())
sink.open(position, replace=replace)
for n in range(position["rows"], 6, 2):
    sink.write([{"n": n}, {"n": n + 1}])
    position = sink.flush()
    committed.write_text(json.dumps(position))
sink.finish()
"""
EXPECTED = b'[\n{"n":0},\n{"n":1},\n{"n":2},\n{"n":3},\n{"n":4},\n{"n":5}\n]\n'


def attempt(folder: Path, replace: str, armed: str) -> int:
    place = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "CRASH_POINT": armed}
    done = subprocess.run(
        [sys.executable, "-c", WRITER, str(folder), replace], env=place, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode


@pytest.mark.parametrize("replace", ["in-place", "replace"])
@pytest.mark.parametrize("point", ["sink.before_copy_named", "sink.after_copy_named"])
def test_a_death_while_a_tail_is_copied_loses_none_of_it(point: str, replace: str, tmp_path: Path) -> None:
    assert attempt(tmp_path, "in-place", f"sink.after_fsync:2:{tmp_path / 'first'}") == -signal.SIGKILL
    tail = (tmp_path / "out").read_bytes()[json.loads((tmp_path / "committed").read_text())["size"] :]
    assert tail
    assert attempt(tmp_path, replace, f"{point}:1:{tmp_path / 'mark'}") == -signal.SIGKILL
    assert attempt(tmp_path, replace, "") == 0
    assert (tmp_path / "out").read_bytes() == EXPECTED
    (copy,) = (tmp_path / "state/cut").iterdir()
    assert copy.read_bytes() == tail
    assert not list(tmp_path.glob(".elspeth-*"))


@pytest.mark.parametrize("replace", ["in-place", "replace"])
@pytest.mark.parametrize("point", POINTS)
def test_a_death_at_any_named_point_does_not_show_in_the_output(point: str, replace: str, tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(b"what an earlier run left\n")
    if point == "sink.after_create":
        (tmp_path / "out").unlink()
    passing = 2 if "fsync" in point else 1
    assert attempt(tmp_path, replace, f"{point}:{passing}:{tmp_path / 'mark'}") == -signal.SIGKILL
    assert (tmp_path / "mark").exists()
    assert attempt(tmp_path, replace, "") == 0
    assert (tmp_path / "out").read_bytes() == EXPECTED
    assert json.loads((tmp_path / "committed").read_text())["rows"] == 6
