from __future__ import annotations

import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.kit.processes.running import ELSPETH, environment, pausing, wait_until

CLEAR_LINE = "\x1b[2K"


def _read(terminal: int) -> bytes:
    """What is there to be read; nothing once nobody has the other end any more."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""


def _watched(folder: Path, **variables: str) -> tuple[str, str]:
    """What a run prints on stdout, and what on a stderr that is a terminal."""
    expected = pausing(folder, 5_000)
    terminal, end = pty.openpty()
    process = subprocess.Popen(
        [ELSPETH, "run", "--settings", "pipeline.yaml", "--execute"], cwd=folder, text=True,
        env=environment(TERM="xterm-256color", **variables), stdout=subprocess.PIPE, stderr=end,
    )  # fmt: skip
    os.close(end)
    shown = b""

    def drawn() -> bool:
        nonlocal shown
        shown += _read(terminal)
        return (folder / "reached").exists() and shown.count(CLEAR_LINE.encode()) >= 2

    os.set_blocking(terminal, False)
    wait_until(drawn, process)
    (folder / "go").touch()
    os.set_blocking(terminal, True)
    while more := _read(terminal):
        shown += more
    os.close(terminal)
    assert process.stdout is not None
    summary = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0, shown.decode()
    assert (folder / "output/out.csv").read_text() == expected
    return summary, shown.decode()


def test_on_a_terminal_progress_is_drawn_in_place_and_lines_stay_whole(tmp_path: Path) -> None:
    summary, screen = _watched(tmp_path)
    assert " rows" in screen
    assert CLEAR_LINE in screen
    assert "worker-1: waiting at row 5\r\n" in screen
    assert screen.endswith("\x1b[2K"), "the drawing is taken away before the summary"
    assert "\x1b" not in summary


@pytest.mark.parametrize("variables", [{"NO_COLOR": "1"}])
def test_no_color_draws_without_colours(tmp_path: Path, variables: dict[str, str]) -> None:
    _, screen = _watched(tmp_path, **variables)
    assert CLEAR_LINE in screen
    assert not any(f"\x1b[{code}m" in screen for code in (*range(30, 38), *range(90, 98)))
    assert "\x1b[38" not in screen
