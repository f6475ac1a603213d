"""Starts the installed command, and waits for what it does."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

from tests.kit.processes.waiting import PATIENCE_SECONDS, no_process_in
from tests.kit.processes.waiting import wait_until as await_event

ELSPETH = Path(sys.executable).with_name("elspeth")
EXAMPLES = Path(__file__).parents[3] / "ops" / "examples"


def environment(**variables: str) -> dict[str, str]:
    """The environment without anything that would steer the command."""
    own = ("NO_COLOR", "COLUMNS", "FORCE_COLOR")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ELSPETH_") and name not in own}
    return {**kept, **variables}


def elspeth(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [ELSPETH, *words],
        cwd=cwd,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )


def begin(*words: str | Path, cwd: Path, **variables: str) -> subprocess.Popen[str]:
    """Start the command and leave it running."""
    return subprocess.Popen(
        [ELSPETH, *words], cwd=cwd, env=environment(**variables), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_until(met: Callable[[], bool], process: subprocess.Popen[str], seconds: float = PATIENCE_SECONDS) -> None:
    """Return once it is so; fail with what the process printed if it ends or takes too long before."""
    end = time.monotonic() + seconds
    while not met():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            _, printed = process.communicate()
            raise AssertionError(f"it did not come to that; exit code {process.returncode}:\n{printed}")
        time.sleep(0.02)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file below a folder with its bytes, and every folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def killed_before_its_end(folder: Path, *words: str, given: bytes = b"") -> None:
    """Let a run in `folder` die, all of it, once its first commit is durable, until it leaves rows to do.

    Of an input of a few rows a first commit holds one or, where the processes did not get their turn, all of them. Of
    a run whose main process died alone, the audit process may still commit what it was sent before.
    """
    arms = {"CRASH_POINT": f"main.after_durable:1:{folder / 'mark'}", "CRASH_GROUP": "1"}
    for _ in range(50):
        process = subprocess.Popen(
            [ELSPETH, *words], cwd=folder, env=environment(**arms), start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        printed, _ = process.communicate(given, timeout=PATIENCE_SECONDS)
        assert process.returncode == -signal.SIGKILL, printed
        await_event(partial(no_process_in, process.pid), "the rest of the killed group is gone")
        with closing(sqlite3.connect(folder / "runs" / "audit.db")) as connection:
            statuses = connection.execute("SELECT status FROM runs ORDER BY run_id DESC LIMIT 1").fetchall()
        if statuses != [("completed",)]:
            return
        for name in ("runs", "state"):
            shutil.rmtree(folder / name)
        (folder / "mark").unlink()
    raise AssertionError("every first commit was the last")


PAUSING = '''\
"""A transform that stops at row 5 until a file `go` is there."""

import time
from pathlib import Path

from elspeth.plugins.contract import Transform


class Pausing(Transform):
    """Hands rows on, and waits at row 5."""

    name = "pausing"

    def process(self, row, ctx):
        if row["id"] == 5:
            print("waiting at row 5")
            Path("reached").touch()
            while not Path("go").exists():
                time.sleep(0.02)
            print("going on")
        return row
'''

PAUSING_PIPELINE = """\
plugins: [pausing.py]
source:
  plugin: csv
  options: {path: input.csv, schema: {mode: fixed, fields: ["id: int"]}}
  on_validation_failure: discard
transforms:
  - {name: pause, plugin: pausing}
sinks:
  out: {plugin: csv, options: {path: output/out.csv}}
default_sink: out
concurrency: {max_workers: 1}
"""


def pausing(folder: Path, rows: int) -> str:
    """A pipeline in `folder` that waits at row 5 until `go` exists; answers what must come out."""
    (folder / "pausing.py").write_text(PAUSING)
    (folder / "pipeline.yaml").write_text(PAUSING_PIPELINE)
    text = "id\n" + "".join(f"{number}\n" for number in range(rows))
    (folder / "input.csv").write_text(text)
    return text
