"""The benchmark: makes the measurements that are asked for and prints what was reached beside what is to be.

`python -m ops.bench.measure [--quick] [--folder FOLDER] [MEASUREMENT ...]`
"""

from __future__ import annotations

import argparse
import os
import platform
import sqlite3
import sys
import tempfile
from pathlib import Path

from ops.bench.figures import MEASUREMENTS, QUICK, Figure, Size
from ops.bench.trial import Workspace


def main(arguments: list[str]) -> int:
    """Exit code 0 if every target was reached, 1 if not."""
    parser = argparse.ArgumentParser(prog="ops/bench/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller inputs and three rounds: a first impression")
    parser.add_argument("--folder", type=Path, help="where to work; 10 GB are needed (default: a temporary folder)")
    parser.add_argument("measurements", nargs="*", metavar="MEASUREMENT", help=f"any of {', '.join(MEASUREMENTS)}")
    asked = parser.parse_args(arguments)
    unknown = set(asked.measurements) - set(MEASUREMENTS)
    if unknown:
        parser.error(f"there is no measurement {min(unknown)}; there are {', '.join(MEASUREMENTS)}")
    size = QUICK if asked.quick else Size()
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="elspeth-bench-", dir=asked.folder) as folder:
        for name in asked.measurements or MEASUREMENTS:
            print(f"  {name} ...", file=sys.stderr, flush=True)
            figures += MEASUREMENTS[name](Workspace(Path(folder)), size)
    print(f"{_machine()}; {'quick' if asked.quick else 'full'}: {size.rounds} rounds, {size.rows:,} rows\n")
    print(_table(figures))
    return 1 if any(figure.met is False for figure in figures) else 0


def _machine() -> str:
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
         if line.startswith("model name")), platform.machine(),
    )  # fmt: skip
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}"


def _table(figures: list[Figure]) -> str:
    lines = ["| what | to reach | reached | |", "|---|---|---|---|"]
    for figure in figures:
        target = "" if figure.target is None else f"{'≤' if figure.most else '≥'} {_number(figure.target)}"
        verdict = {None: "", True: "yes", False: "NO"}[figure.met]
        lines.append(f"| {figure.what} | {target} | {_number(figure.reached)} {figure.unit} | {verdict} |")
    return "\n".join(lines)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2f}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
