"""A Docker Engine, the image, and folders as an operator has them: config, input, output, state."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
IMAGE = "ghcr.io/johnm-dta/elspeth:v0.1.0"
ROWS = 2500
PAUSE_SECONDS = 0.002

TARDY = f'''\
"""A transform that takes its time over every row."""

import time

from elspeth.plugins.contract import Transform


class Tardy(Transform):
    """Hands rows on, slowly."""

    name = "tardy"

    def process(self, row, ctx):
        time.sleep({PAUSE_SECONDS})
        return row
'''

PIPELINE = """\
plugins: [config/tardy.py]
source:
  plugin: csv
  options: {path: input/data.csv, schema: {mode: fixed, fields: ["id: int", "amount: int"]}}
  on_validation_failure: discard
transforms:
  - {name: tardy, plugin: tardy}
gates:
  - name: large
    condition: "row['amount'] > 1000"
    routes: {"true": high, "false": continue}
sinks:
  normal: {plugin: csv, options: {path: output/normal.csv}}
  high: {plugin: csv, options: {path: output/high.csv}}
default_sink: normal
concurrency: {max_workers: 1}
checkpoint: {frequency: every_n, checkpoint_interval: 50}
"""


def unavailable() -> str:
    """Why there is no engine to test with; nothing if there is one."""
    if shutil.which("docker") is None:
        return "docker is not installed"
    try:
        answer = docker("info", "--format", "{{.ServerVersion}}", timeout=20)
    except subprocess.TimeoutExpired:
        return "the Docker Engine does not answer"
    return "" if answer.returncode == 0 else f"no Docker Engine: {answer.stderr.strip()}"


def docker(*words: str | Path, timeout: float = 120.0, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One docker command; `timeout` in seconds."""
    return subprocess.run(
        ["docker", *words], cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip


def build() -> str:
    """Build the image on a base that is there already, if one is; answers the name of the base."""
    there = docker("images", "--format", "{{.Repository}}:{{.Tag}}", "python").stdout.split()
    versions = sorted(name.removeprefix("python:").removesuffix("-slim") for name in there if name.endswith("-slim"))
    version = versions[-1] if versions else "3.13"
    built = docker(
        "build", "--quiet", "--build-arg", f"PYTHON_VERSION={version}", "--tag", IMAGE, ROOT, timeout=600
    )  # fmt: skip
    assert built.returncode == 0, built.stdout + built.stderr
    return f"python:{version}-slim"


class Folders(NamedTuple):
    """The folders of one pipeline on the host, and whom they belong to."""

    root: Path
    owner: int

    @property
    def mounts(self) -> list[str]:
        """The options that mount them as the runbook does."""
        modes = {"config": ":ro", "input": ":ro", "output": "", "state": ""}
        return [word for name, mode in modes.items() for word in ("-v", f"{self.root / name}:/app/{name}{mode}")]

    def written(self) -> dict[str, bytes]:
        """The outputs by name."""
        return {file.name: file.read_bytes() for file in (self.root / "output").iterdir()}

    def progress(self) -> int:
        """Bytes in the outputs."""
        return sum(file.stat().st_size for file in (self.root / "output").iterdir())

    def owners(self) -> set[int]:
        """Whom everything that was written belongs to."""
        return {path.stat().st_uid for name in ("output", "state") for path in (self.root / name).rglob("*")}


def folders(root: Path, owner: int, rows: int = ROWS) -> Folders:
    """Folders that belong to `owner`, with a pipeline that takes its time over `rows` rows."""
    for name in ("config", "input", "output", "state"):
        (root / name).mkdir()
    (root / "config" / "tardy.py").write_text(TARDY)
    (root / "config" / "pipeline.yaml").write_text(PIPELINE)
    lines = (f"{number},{amount(number)}\n" for number in range(rows))
    (root / "input" / "data.csv").write_text("id,amount\n" + "".join(lines))
    for path in (root, *root.rglob("*")):
        os.chown(path, owner, owner)
    return Folders(root, owner)


def amount(number: int) -> int:
    return number * 7919 % 2003


def expected(rows: int = ROWS) -> dict[str, bytes]:
    """What an undisturbed run writes."""
    numbers = range(rows)
    high = [number for number in numbers if amount(number) > 1000]
    normal = [number for number in numbers if amount(number) <= 1000]
    return {
        f"{name}.csv": ("id,amount\r\n" + "".join(f"{number},{amount(number)}\r\n" for number in part)).encode()
        for name, part in (("normal", normal), ("high", high))
    }


def inspected(container: str) -> dict[str, Any]:
    """All that the engine knows of a container."""
    (found,) = json.loads(docker("inspect", container).stdout)
    return dict(found)


def logs(container: str) -> str:
    answer = docker("logs", container)
    return answer.stdout + answer.stderr


def wait_until(met: Callable[[], bool], container: str, seconds: float = 60.0) -> None:
    """Return once it is so; fail with the container's lines if that takes longer than `seconds`."""
    end = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < end, f"it did not come to that:\n{logs(container)}"
        time.sleep(0.05)
