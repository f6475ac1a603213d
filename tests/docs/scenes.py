"""Runs in the state in which an operator opens a runbook: dead, stuck, finished, out of room."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tests.docs.command import environment, run
from tests.docs.repository import ROOT
from tests.kit.processes.running import ELSPETH, pausing

ROWS = 20_000
DEAD = "CRASH_POINT=main.after_durable:2:mark elspeth run --settings pipeline.yaml --execute"


class Scene:
    """A folder with a run in it. `before` is called with each block of a runbook before it is typed."""

    def __init__(self, folder: Path, before: Callable[[str], None] = lambda block: None) -> None:
        self.folder = folder
        self.before = before

    def asked(self, query: str) -> str:
        """The first value of a query to the audit database; "" if there is none."""
        path = self.folder / "runs" / "audit.db"
        if not path.exists():
            return ""
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
            row = db.execute(query).fetchone()
        return "" if row is None or row[0] is None else str(row[0])

    def filled(self, text: str) -> str:
        """A block with the run's id, and the pids of its processes, in place."""
        latest = "SELECT run_id FROM runs ORDER BY started_at DESC LIMIT 1"
        values = {
            "<RUN_ID>": latest,
            "<PID>": f"SELECT pid FROM run_attempts WHERE run_id = ({latest}) ORDER BY attempt DESC LIMIT 1",
            "<WORKER_PID>": "SELECT pid FROM supervision_events WHERE child LIKE 'worker%' ORDER BY at DESC LIMIT 1",
        }
        for name, query in values.items():
            if name in text:
                text = text.replace(name, self.asked(query))
        return text


def threshold(folder: Path, rows: int = ROWS) -> None:
    """The smallest example, with as many rows as are asked for."""
    example = ROOT / "ops" / "examples" / "threshold"
    shutil.copy(example / "pipeline.yaml", folder)
    done = run(f"python {example}/many.py {rows} > input.csv", folder)
    assert done.returncode == 0, done.stdout


@contextmanager
def dead(folder: Path) -> Iterator[Scene]:
    """A run whose main process was killed after its second commit."""
    threshold(folder)
    done = run(DEAD, folder)
    assert done.returncode in (137, -9), done.stdout
    yield Scene(folder)


@contextmanager
def finished(folder: Path) -> Iterator[Scene]:
    """A run that is complete, with a row that could not be read."""
    shutil.copytree(ROOT / "ops" / "examples" / "threshold", folder, dirs_exist_ok=True)
    done = run("elspeth run --settings pipeline.yaml --execute", folder)
    assert done.returncode == 0, done.stdout
    yield Scene(folder)


@contextmanager
def stuck(folder: Path) -> Iterator[Scene]:
    """A run that waits at row 5 for a file that nobody writes until somebody resumes it."""
    pausing(folder, 50)

    def before(block: str) -> None:
        if "elspeth resume" in block:
            process.wait(timeout=600)
            (folder / "go").touch()

    # Its words go to a file: a pipe that nobody reads would be another way to be stuck.
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [ELSPETH, "run", "--settings", "pipeline.yaml", "--execute"],
            cwd=folder, env=environment(), stdout=log, stderr=log,
        )  # fmt: skip
    try:
        end = time.monotonic() + 30
        # The worker's start is on record with the next commit.
        scene = Scene(folder, before)
        while not ((folder / "reached").exists() and scene.asked(WORKERS)):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.05)
        yield scene
    finally:
        process.kill()
        process.wait()


WORKERS = "SELECT pid FROM supervision_events WHERE child LIKE 'worker%'"


@contextmanager
def kept(folder: Path) -> Iterator[Scene]:
    """A completed run in a database in which another run is under way."""
    other = folder / "other"
    other.mkdir()
    pausing(other, 50)
    with finished(folder) as scene, (other / "log").open("w") as log:
        database = folder / "runs" / "audit.db"
        run_id = scene.asked("SELECT run_id FROM runs")
        process = subprocess.Popen(
            [ELSPETH, "run", "--settings", "pipeline.yaml", "--execute"],
            cwd=other, env=environment() | {"ELSPETH_LANDSCAPE__URL": f"sqlite:///{database}"},
            stdout=log, stderr=log,
        )  # fmt: skip
        try:
            end = time.monotonic() + 30
            while not (other / "reached").exists():
                assert process.poll() is None, (other / "log").read_text()
                assert time.monotonic() < end, (other / "log").read_text()
                time.sleep(0.05)
            yield Fixed(folder, run_id)
            (other / "go").touch()
            assert process.wait(timeout=600) == 0, (other / "log").read_text()
        finally:
            process.kill()
            process.wait()


class Fixed(Scene):
    """A scene that is about one run among several."""

    def __init__(self, folder: Path, run_id: str) -> None:
        super().__init__(folder)
        self.run_id = run_id

    def filled(self, text: str) -> str:
        """A block with the run's id in place."""
        return text.replace("<RUN_ID>", self.run_id)


@contextmanager
def full(folder: Path) -> Iterator[Scene]:
    """A run that stopped because its disk was full; before it is resumed, there is room. Without root: a dead run."""
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], capture_output=True
    ).returncode == 0  # fmt: skip
    if not mounted:
        with dead(folder) as scene:
            yield scene
        return

    def before(block: str) -> None:
        if re.search(r"^elspeth resume", block, re.M):
            subprocess.run(["mount", "-o", "remount,size=64m", str(folder)], check=True)

    try:
        threshold(folder)
        done = run("elspeth run --settings pipeline.yaml --execute", folder)
        assert done.returncode == 75, done.stdout
        yield Scene(folder, before)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
