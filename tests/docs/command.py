"""The installed command, run as a reader of the documentation would run it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(sys.executable).parent


def environment() -> dict[str, str]:
    """The environment of a reader: the command in PATH, no settings of ours, no colours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ELSPETH_", "PYTEST_", "CRASH_"))}
    return {**kept, "PATH": f"{SCRIPTS}{os.pathsep}{os.environ['PATH']}", "TERM": "dumb", "COLUMNS": "100"}


def run(command: str, folder: Path, *, timeout: float = 600.0) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in a folder; stdout and stderr together, as on a terminal. `timeout` in seconds: a hang."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout,
        check=False,
    )
