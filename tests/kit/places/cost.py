"""What a slice of work costs the main process that goes to a worker elsewhere and comes back: its processor time.

    python -m tests.kit.places.cost --place ray --rows 8000 --delay 0.005 --workers 8

`--place` is here, sockets (agents behind sockets of this machine) or ray (a cluster of the run's own). The first slices
are left out. Processor time grows with what else the machine does: compare two versions in turns.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from elspeth.cli.app import run
from elspeth.coordinator import protocol as m
from elspeth.coordinator.coordinator import Coordinator
from tests.kit.pipelines.trial import lay, settings
from tests.kit.places.stand_in import environment
from tests.kit.processes.program import ROOT

LEFT_OUT = 60


def by_thread() -> Counter[str]:
    """Milliseconds of processor time that each thread of this process has had, by its name."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    found = Counter[str]()
    for task in Path("/proc/self/task").iterdir():
        nanoseconds = int((task / "schedstat").read_text().split()[0])
        found[names.get(int(task.name)) or (task / "comm").read_text().strip()] += nanoseconds  # type: ignore[assignment]
    return Counter({name: nanoseconds / 1e6 for name, nanoseconds in found.items()})  # type: ignore[misc]


class Watch:
    """Looks on when a slice comes back."""

    def __init__(self) -> None:
        self.slices = 0
        self.first = self.last = (0, 0.0, 0.0, Counter[str]())

    def frame(self, message: object) -> None:
        """The coordinator was told this."""
        if isinstance(message, m.SliceDecided):
            self.slices += 1
            if self.slices % LEFT_OUT == 0:  # to look takes time, too
                self.last = self.slices, time.process_time(), time.monotonic(), by_thread()
                if self.slices == LEFT_OUT:
                    self.first = self.last

    def __str__(self) -> str:
        slices = self.last[0] - self.first[0]
        each = Counter({name: spent / slices for name, spent in (self.last[3] - self.first[3]).items()})  # type: ignore[misc]
        a_second = slices / (self.last[2] - self.first[2])
        lines = [f"{(self.last[1] - self.first[1]) / slices * 1e3:.2f} ms a slice, {a_second:.0f} slices a second"]
        return "\n".join([*lines, *(f"  {name:<24} {spent:.3f}" for name, spent in each.most_common(12))])


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.kit.places.cost", description=__doc__.splitlines()[0])
    parser.add_argument("--place", choices=["here", "sockets", "ray"], default="ray")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--delay", type=float, default=0.005, help="seconds that a row takes")
    parser.add_argument("--workers", type=int, default=8)
    chosen = parser.parse_args()
    watch, told = Watch(), Coordinator._frame

    def frame(self: Coordinator, name: str, message: Any, parts: list[memoryview]) -> None:
        watch.frame(message)
        told(self, name, message, parts)

    Coordinator._frame = frame  # type: ignore[method-assign]
    here = chosen.place == "here"
    value = settings(delay=chosen.delay, workers=chosen.workers if here else 0)
    value["checkpoint"]["checkpoint_interval"] = 1000
    if not here:
        value["cluster"] = {"address": "local", "workers": chosen.workers, "resources": {"cpu": 0.1}}
    os.environ.update(environment() if chosen.place == "sockets" else {"PYTHONPATH": str(ROOT)})
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(lay(Path(folder) / "run", chosen.rows, value))
        code = run(["run", "--settings", "pipeline.yaml", "--execute"])
        os.chdir("/")
    sys.stdout.write(f"{chosen.place}: {watch}\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
