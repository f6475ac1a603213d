"""Runs of the installed command that stand still at a row until they are told to go on, so that a test can look."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.kit.processes.tree import COMMAND, query
from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until

ROWS = 3000
HELD_AT = 2500

PIPELINE = """
source:
  plugin: csv
  options:
    path: data/input.csv
    schema: {mode: free, fields: ["id: int", "amount: int"]}
    on_validation_failure: discard
transforms:
  - {plugin: hold, options: {at: HELD_AT}}
sinks:
  output: {plugin: csv, options: {path: output/NAME.csv}}
default_sink: output
plugins: [./hold.py]
checkpoint: {frequency: every_row}
concurrency: {max_workers: 1}
supervisor: {shutdown_seconds: 300}  # on a machine that is busy the last word takes its time, and is to be written
"""

PLUGIN = '''
"""A step that stands still at one row until the file `go` is there."""
import time
from pathlib import Path
from elspeth.plugins.contract import PluginOptions, Transform


class HoldOptions(PluginOptions):
    at: int
    api_key: str = ""


class Hold(Transform):
    name = "hold"
    Options = HoldOptions

    def process(self, row, ctx):
        if row["id"] == self.options.at:
            Path(f"{ctx.run_id}.held").touch()
        while row["id"] == self.options.at and not Path("go").exists():
            ctx.progress()
            time.sleep(0.01)
        return row
'''


def make(folder: Path, *, name: str = "out", key: str = "") -> Path:
    """A folder with a pipeline that is held; answers the settings file. `key` is a credential of its plugin."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    lines = (f"{number},{number * 7 % 2000}\n" for number in range(ROWS))
    (folder / "data" / "input.csv").write_text("id,amount\n" + "".join(lines))
    (folder / "hold.py").write_text(PLUGIN)
    settings = folder / f"{name}.yaml"
    at = f'{HELD_AT}, api_key: "{key}"' if key else str(HELD_AT)
    settings.write_text(PIPELINE.replace("HELD_AT", at).replace("NAME", name))
    return settings


def elspeth(folder: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """Carry out a command in a folder."""
    return subprocess.run(
        [COMMAND, *words], cwd=folder, env={**os.environ, **environ}, capture_output=True, text=True, check=False,
        timeout=PATIENCE_SECONDS,
    )  # fmt: skip


def doctor(folder: Path, *words: str, **environ: str) -> dict[str, Any]:
    """What `elspeth doctor --json` says, with its exit code."""
    done = elspeth(folder, "doctor", "--json", *words, **environ)
    assert done.stdout, done.stderr
    return {**json.loads(done.stdout), "exit_code": done.returncode, "stderr": done.stderr}


@contextlib.contextmanager
def held_run(settings: Path, *wrapper: str, **environ: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A run that has committed rows and stands still; its process (of the wrapper, if any) and its id."""
    folder = settings.parent
    before = set(ids(folder))
    command = [*wrapper, COMMAND, "run", "--settings", settings.name, "--execute"]
    log = folder / f"{settings.stem}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **environ}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        wait_until(lambda: process.poll() is not None or committed(folder, before), "a commit")
        assert process.poll() is None, log.read_text()
        (run_id,) = set(ids(folder)) - before
        # Only then does an orderly stop have something to wait for.
        wait_until(lambda: process.poll() is not None or (folder / f"{run_id}.held").exists(), "it stands still")
        assert process.poll() is None, log.read_text()
        yield process, run_id
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait()


def killed_run(settings: Path, *wrapper: str, **environ: str) -> str:
    """A run whose main process was killed after some commits; its id. Nothing of it writes any more."""
    with held_run(settings, *wrapper, **environ) as (process, run_id):
        children = psutil.Process(process.pid).children(recursive=True)
    wait_until(lambda: all(map(_ended, children)), "its children have ended, too")
    return run_id


def _ended(process: psutil.Process) -> bool:
    try:
        if process.status() != psutil.STATUS_ZOMBIE:  # nobody may be there to reap it
            return False
        # Its first thread has ended. Another may wait for the disk, and then what it was about to commit is there.
        return len(list(Path(f"/proc/{process.pid}/task").iterdir())) <= 1
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return True


def ids(folder: Path) -> list[str]:
    """The runs on record."""
    return [run_id for (run_id,) in query(folder, "SELECT run_id FROM runs")]


def committed(folder: Path, before: set[str]) -> bool:
    """Whether a new run has committed rows."""
    return bool({run_id for (run_id,) in query(folder, "SELECT DISTINCT run_id FROM rows")} - before)
