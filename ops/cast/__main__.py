"""Draws the cast of the README, a run that is killed at work, and resumed: `python -m ops.cast`.

What is shown was typed and printed just so, by the installed command; long paths are cut.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ops.cast.svg import COLUMNS, Line, drawn

HERE = Path(__file__).resolve().parent
TARGET = HERE / "kill-and-resume.svg"
EXAMPLE = HERE.parent / "examples" / "threshold"
TITLE = "A run of 300,000 rows is killed, resumed, and asked about row 42"
_PAUSE = 1.2  # seconds in which what is typed can be read


class Cast:
    """A session at a terminal: what is typed, and what comes of it."""

    def __init__(self, folder: Path) -> None:
        self.lines: list[Line] = []
        self._folder, self._now = folder, 0.5
        self._environ: Mapping[str, str] = {
            **os.environ, "NO_COLOR": "1", "COLUMNS": str(COLUMNS), "ELSPETH_SOURCE__OPTIONS__PATH": "many.csv",
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }  # fmt: skip

    def typed(self, text: str) -> None:
        """A command is typed."""
        if self.lines:
            self._add("", "printed", 0.0)
        self._add(f"$ {text}", "typed", _PAUSE)

    def killed(self, run: str, kill: str) -> None:
        """What is typed to run, and to kill it."""
        self.typed(run)
        done = subprocess.run(
            ["bash", "-c", f"{run}\n{{ {kill}; }} 2>/dev/null\nwait $!"], cwd=self._folder, env=self._environ,
            capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode != 128 + signal.SIGKILL:
            raise SystemExit(f"it was not killed in the middle of its work:\n{done.stderr}")
        said = [line for line in done.stderr.splitlines() if "rows/s" in line]
        for line in (done.stderr.splitlines()[0], *said[-2:]):
            self._add(line, "printed", 0.8)
        self._add(f"$ {kill}", "typed", _PAUSE)
        self._add("Killed", "said", _PAUSE)

    def done(self, words: list[str], most: int, *, leave_out: str = "(?!)") -> None:
        """It is run to its end, and of what it prints the first lines are shown that are not to be left out."""
        done = subprocess.run(
            words, cwd=self._folder, env=self._environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if done.returncode != 0:
            raise SystemExit(f"{words} ended with {done.returncode}:\n{done.stdout}")
        lines = [line for line in done.stdout.splitlines() if line.strip() and not re.search(leave_out, line)]
        for line in lines[:most]:
            self._add(line, "printed", 0.15)
        self._now += _PAUSE

    def _add(self, text: str, kind: str, seconds: float) -> None:
        text = text.replace(str(self._folder), "...")
        self.lines.append(Line(text if len(text) <= COLUMNS else f"{text[: COLUMNS - 3]}...", self._now, kind))
        self._now += seconds


def recorded(folder: Path, rows: int = 300_000) -> list[Line]:
    """The session, in this folder."""
    shutil.copytree(EXAMPLE, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("output", "runs", "state"))
    with (folder / "many.csv").open("w") as file:
        subprocess.run([sys.executable, "many.py", str(rows)], cwd=folder, stdout=file, check=True)
    elspeth = str(Path(sys.executable).with_name("elspeth"))
    cast = Cast(folder)
    enough = f'until [ "$(wc -l < output/normal.csv)" -gt {rows // 10} ]; do sleep 0.01; done'
    cast.killed("elspeth run --execute &", f"{enough}; kill -KILL $!")
    cast.typed("elspeth resume latest")
    cast.done([elspeth, "resume", "latest"], 12, leave_out="If it is stopped|elspeth resume|rows/s|Audit trail|file$")
    cast.typed("cat output/normal.csv output/high_values.csv | wc -l")
    cast.done(["sh", "-c", "cat output/normal.csv output/high_values.csv | wc -l"], 1)
    cast.typed("elspeth explain --run latest --row 42")
    cast.done([elspeth, "explain", "--run", "latest", "--row", "42"], 14)
    return cast.lines


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        TARGET.write_text(drawn(recorded(Path(folder)), TITLE), encoding="utf-8")
    print(TARGET)


if __name__ == "__main__":
    main()
