"""One trial of the benchmark: an input, a pipeline file and a program run over them in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from ops.bench.tree import Tree

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
ELSPETH = Path(sys.executable).with_name("elspeth")
INSTALLED = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""What programs are started with. An installed package has its bytecode on disk: not to compile at every start."""
CHECKPOINTS = {
    "every_n": {"frequency": "every_n", "checkpoint_interval": 1000},
    "every_row": {"frequency": "every_row"},
}


class Workspace:
    """A folder for everything a benchmark writes, and the inputs that its trials share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def input(self, rows: int) -> Path:
        """The threshold example's input with so many rows; written once."""
        path = self.folder / f"input-{rows}.csv"
        if not path.exists():
            with path.open("wb") as file:
                many = ROOT / "ops" / "examples" / "threshold" / "many.py"
                subprocess.run([sys.executable, many, str(rows)], stdout=file, check=True)
        return path

    def fresh(self, name: str) -> Path:
        """An empty folder."""
        folder = self.folder / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    @contextmanager
    def trial(self, name: str) -> Iterator[Path]:
        """An empty folder that is removed afterwards: a run of 3,000,000 rows leaves gigabytes."""
        folder = self.fresh(name)
        try:
            yield folder
        finally:
            shutil.rmtree(folder)


def threshold(source: Path, checkpoint: str, workers: int = 1) -> dict[str, Any]:
    """The settings of the threshold example over another input."""
    return {
        "source": {
            "plugin": "csv",
            "options": {
                "path": str(source),
                "schema": {"mode": "free", "fields": ["id: int", "amount: int"]},
                "on_validation_failure": "discard",
            },
        },
        "gates": [
            {
                "name": "amount_threshold",
                "condition": "row['amount'] > 1000",
                "routes": {"true": "high_values", "false": "continue"},
            }
        ],
        "sinks": {
            name: {"plugin": "csv", "options": {"path": f"output/{name}.csv"}} for name in ("normal", "high_values")
        },
        "default_sink": "normal",
        "checkpoint": CHECKPOINTS[checkpoint],
        "concurrency": {"max_workers": workers},
    }


def laborious(source: Path, transform: str, options: dict[str, Any], *, workers: int = 1) -> dict[str, Any]:
    """A pipeline with one transform of `workload.py`, and one output."""
    settings = threshold(source, "every_n", workers)
    pool = {"pool_size": options.pop("pool_size")} if "pool_size" in options else {}
    del settings["gates"], settings["sinks"]["high_values"]
    settings["plugins"] = [str(HERE / "workload.py")]
    settings["transforms"] = [{"plugin": transform, "options": options, **pool}]
    return settings


def run(
    folder: Path, settings: dict[str, Any], tree: Tree | None = None, command: Sequence[str | Path] = (ELSPETH,)
) -> float:
    """Run a pipeline in a folder; answers how long the whole command took, in seconds."""
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return timed([*map(str, command), "run", "--settings", "pipeline.yaml", "--execute"], folder, tree)


def timed(command: list[str], folder: Path, tree: Tree | None = None) -> float:
    """Seconds until the command has ended. Raises `CalledProcessError` if it fails, having shown what it printed."""
    with tempfile.TemporaryFile() as printed:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, stdout=printed, stderr=subprocess.STDOUT, env=INSTALLED)
        if tree is not None:
            tree.watch(process)
        code = process.wait()
        took = time.perf_counter() - started
        if code:
            printed.seek(0)
            print(printed.read().decode(), file=sys.stderr)
            raise subprocess.CalledProcessError(code, command)
    return took


def python(program: str, *arguments: str | Path) -> list[str]:
    """The command that runs one of the comparison programs."""
    return [sys.executable, "-m", f"ops.bench.{program}", *map(str, arguments)]
