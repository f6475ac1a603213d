"""A run that is killed at some row, and how long its resumption takes to commit the first new one."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from contextlib import closing, suppress
from functools import partial
from pathlib import Path
from typing import Any, cast

import yaml

from elspeth.outputs import sink_states
from elspeth.plugins import registry
from elspeth.plugins.contract import Sink, Source
from elspeth.runs.lifecycle.pipeline import load_pipeline
from ops.bench.trial import ELSPETH, INSTALLED

LOOK_SECONDS = 0.005


def kill_at(folder: Path, settings: dict[str, Any], rows: int) -> None:
    """Run a pipeline and kill its main process when so many rows are committed."""
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    _until([str(ELSPETH), "run", "--settings", "pipeline.yaml", "--execute"], folder, rows)


def first_commit(folder: Path) -> float:
    """Seconds from the command `resume` until more rows are committed than before; then it is killed again."""
    return _until([str(ELSPETH), "resume", "latest"], folder, _committed(folder) + 1)


def check(folder: Path) -> tuple[int, float]:
    """How many bytes of input and outputs a resumption compares with the checkpoint, and in how many seconds."""
    pipeline = load_pipeline(folder / "pipeline.yaml")
    message = json.loads(_latest(folder) or "")
    size = 0
    checks: list[Callable[[], None]] = []
    for node in pipeline.graph.of_kind("source"):
        held = message["sources"][node.id]
        source = cast("Source", registry.build(registry.find("source", node.plugin), node.options, node.id))
        checks.append(partial(source.check, held["cursor"], held["proof"]))
        size += held["offset"]
    for node in pipeline.graph.of_kind("sink"):
        state = sink_states(message["sinks"])[node.id]
        sink = cast("Sink", registry.build(registry.find("sink", node.plugin), node.options, node.id))
        checks.append(partial(sink.check, {**state.position, "path": state.output.resolved}))
        size += state.output.size or 0
    began = time.perf_counter()
    for compare in checks:
        compare()
    return size, time.perf_counter() - began


def _until(command: list[str], folder: Path, rows: int) -> float:
    """Start a command; answers after how many seconds so many rows were committed, having killed it."""
    with (folder / "printed").open("wb") as printed:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=subprocess.STDOUT, env=INSTALLED)
        try:
            while _committed(folder) < rows:
                if process.poll() is not None:
                    raise subprocess.CalledProcessError(process.returncode, command, (folder / "printed").read_text())
                time.sleep(LOOK_SECONDS)
            took = time.perf_counter() - started
        finally:
            children = _descendants(process.pid)
            process.send_signal(signal.SIGKILL)
            process.wait()
    while any(Path(f"/proc/{child}").exists() for child in children):
        time.sleep(LOOK_SECONDS)  # they see that their channel is closed
    return took


def _descendants(pid: int) -> list[str]:
    found = []
    with suppress(OSError):  # one that ends meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [child, *_descendants(int(child))]
    return found


def _committed(folder: Path) -> int:
    """Rows of the latest checkpoint, 0 without one."""
    message = _latest(folder)
    return int(json.loads(message)["rows"]) if message else 0


def _latest(folder: Path) -> str | None:
    path = folder / "runs" / "audit.db"
    if not path.exists():
        return None
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
            found = connection.execute("SELECT message FROM checkpoints ORDER BY checkpoint_id DESC LIMIT 1").fetchone()
    except sqlite3.OperationalError:  # there is no table yet
        return None
    return str(found[0]) if found else None
