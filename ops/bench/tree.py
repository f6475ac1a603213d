"""Looks at a tree of processes from outside while it works: memory and processor time of each."""

from __future__ import annotations

import os
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

EVERY_SECONDS = 0.25
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Tree:
    """What was seen of one command and its children."""

    memory: list[tuple[float, int]] = field(default_factory=list)  # (seconds since the start, summed PSS in bytes)
    seconds: dict[str, float] = field(default_factory=dict)  # processor time (user and system) by name of the process

    def watch(self, process: subprocess.Popen[bytes]) -> None:
        """Look every quarter of a second until the process has ended."""
        started = time.perf_counter()
        while process.poll() is None:
            total = 0
            for pid in [process.pid, *_children(process.pid)]:
                total += _pss(pid)
                name, seconds = _spent(pid)
                if pid == process.pid or name.startswith("elspeth "):  # before that it has not said who it is
                    self.seconds["main" if pid == process.pid else name.split()[-1]] = seconds
            self.memory.append((time.perf_counter() - started, total))
            time.sleep(EVERY_SECONDS)

    def peak(self) -> int:
        """The largest sum of PSS, bytes."""
        return max(size for _, size in self.memory)

    def between(self, first: float, last: float) -> int:
        """The largest sum of PSS in this part of the time (0 to 1), bytes."""
        end = self.memory[-1][0]
        return max(size for at, size in self.memory if first <= at / end <= last)


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in _listed(Path(f"/proc/{pid}/task")):
        found += [int(child) for child in _text(task / "children").split()]
    return found + [grandchild for child in found for grandchild in _children(child)]


def _pss(pid: int) -> int:
    for line in _text(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _spent(pid: int) -> tuple[str, float]:
    name = _text(Path(f"/proc/{pid}/cmdline")).replace("\0", " ").strip()
    stat = _text(Path(f"/proc/{pid}/stat")).rpartition(")")[2].split()
    if len(stat) < 13:
        return "", 0.0
    return name, (int(stat[11]) + int(stat[12])) / _TICKS


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # it has ended
        return ""
