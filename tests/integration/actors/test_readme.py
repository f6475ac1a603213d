"""The README of the runtime is true: its program prints what stands there, and its list is the public one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import actors

README = Path(actors.__file__).with_name("README.md").read_text(encoding="utf-8")


def block(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert found
    return found[1]


def test_the_program_starts_crashes_restarts_hangs_and_drains_as_it_is_printed(tmp_path: Path) -> None:
    (tmp_path / "counter.py").write_text(block("python"), encoding="utf-8")
    root = str(Path(actors.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "counter.py"], cwd=tmp_path, env=os.environ | {"PYTHONPATH": root}, timeout=600,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == block("text")


def test_every_public_name_stands_in_the_table_and_no_other() -> None:
    listed = {name for line in README.splitlines() if line.startswith("| `") for name in _names(line.split("|")[1])}
    assert listed == set(actors.__all__)


def _names(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)
