"""Colours say what words beside them say: of runs that are complete, given up, or without a driver."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from elspeth.cli.view.status_style import style_of
from tests.kit.processes.held import killed_run, make
from tests.kit.processes.running import ELSPETH, elspeth, environment

GREEN, RED = "\x1b[32m", "\x1b[31m"
_STYLE = re.compile("\x1b\\[[0-9]*m")


@pytest.fixture(scope="module")
def three_runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with a run that was given up, an orphan and a complete one; their ids by what they are."""
    folder = tmp_path_factory.mktemp("runs")
    ids = {"failed": killed_run(make(folder, name="first"))}
    given_up = elspeth("doctor", "--mark-failed", ids["failed"], cwd=folder)
    assert given_up.returncode == 0, given_up.stderr
    ids["orphaned"] = killed_run(make(folder, name="second"))
    make(folder, name="third")
    (folder / "go").touch()
    done = elspeth("run", "third.yaml", "--execute", cwd=folder)
    assert done.returncode == 0, done.stderr
    ids["completed"] = re.search(r"Run (\w+) completed", done.stdout)[1]  # type: ignore[index]
    return folder, ids


def on_a_terminal(folder: Path, *words: str, **variables: str) -> str:
    """What a command sends to a terminal."""
    ours, theirs = os.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        process = subprocess.Popen(
            [ELSPETH, *words], cwd=folder, env=environment(TERM="xterm", COLUMNS="200", **variables),
            stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(theirs)
        parts = []
        try:
            while part := terminal.read(65536):
                parts.append(part)
        except OSError:  # its other end is closed
            pass
        process.wait()
    return b"".join(parts).decode().replace("\r\n", "\n")


def line_of(text: str, run: str) -> str:
    return next(line for line in text.splitlines() if run in line)


def test_runs_are_coloured_by_how_they_ended(three_runs: tuple[Path, dict[str, str]]) -> None:
    folder, ids = three_runs
    shown = on_a_terminal(folder, "runs")
    assert f"{GREEN}completed\x1b[0m" in line_of(shown, ids["completed"])
    assert f"{RED}failed\x1b[0m" in line_of(shown, ids["failed"])
    assert f"{RED}running (orphaned)\x1b[0m" in line_of(shown, ids["orphaned"])


def test_status_and_doctor_colour_the_word_that_counts(three_runs: tuple[Path, dict[str, str]]) -> None:
    folder, ids = three_runs
    for what, colour in (("completed", GREEN), ("failed", RED)):
        assert f"{colour}{what}\x1b[0m" in on_a_terminal(folder, "status", ids[what]).splitlines()[0]
    assert f"{RED}running (orphaned)" in on_a_terminal(folder, "status", ids["orphaned"]).splitlines()[0]
    assert f"{RED}orphaned\x1b[0m" in line_of(on_a_terminal(folder, "doctor"), ids["orphaned"])


@pytest.mark.parametrize("command", ["runs", "status latest", "doctor"])
def test_no_colour_stands_alone(three_runs: tuple[Path, dict[str, str]], command: str) -> None:
    """Without colours the same words are there, in the same places; for a reader that is no terminal, too."""
    folder, _ = three_runs

    def timeless(text: str) -> str:
        return re.sub(r"[0-9.]+ (s|min)\b( [0-9]+ s)?", "T", re.sub("  +", " ", text))

    coloured = on_a_terminal(folder, *command.split())
    plain = on_a_terminal(folder, *command.split(), NO_COLOR="1")
    piped = elspeth(*command.split(), cwd=folder, COLUMNS="200").stdout
    assert "\x1b" in coloured
    assert "\x1b" not in plain + piped
    assert timeless(_STYLE.sub("", coloured)) == timeless(plain) == timeless(piped)


@pytest.mark.parametrize(
    ("status", "style"),
    [("completed", "green"), ("completed, see mf3k2a9x", "yellow"), ("failed", "red"), ("running", "cyan"),
     ("running (orphaned)", "red"), ("running (presumed dead)", "red"), ("running (frozen)", "red"),
     ("interrupted", "yellow"), ("stopped", "yellow"), ("alive", "green")],
)  # fmt: skip
def test_of_several_words_the_worst_decides(status: str, style: str) -> None:
    assert style_of(status) == style
