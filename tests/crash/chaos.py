"""Strikes processes of runs at random, resumes what dies with its main process, and checks what is left.

    python -m tests.crash.chaos --seconds 600
    python -m tests.crash.chaos --blows 500 --seed 7 --folder /tmp/chaos

Run it in the top folder of the source tree: the pipeline and the checker are those of the tests. It ends with a tally,
and with exit code 1 if anything was violated; then the folders of the runs concerned are kept.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from elspeth.runs.liveness.locks import probe
from tests.kit.pipelines.trial import lay, settings, violations
from tests.kit.processes.tree import Tree, events, outputs, run_of, state_of
from tests.kit.processes.waiting import wait_until

ROLES = ("main", "fork_server", "audit", "sinks", "stage", "source", "worker")
ROWS = 1500
PAUSE_SECONDS = (0.05, 0.45)  # between two blows
ASLEEP_SECONDS = (0.05, 0.6)  # between SIGSTOP and SIGCONT
FOR_EVER = 0.15  # the share of stopped children that nobody wakes
END_SECONDS = 180.0


@dataclass(slots=True)
class Tally:
    """What was done, and what came of it. Blows are counted by role and by kind."""

    blows: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    resumes: int = 0
    restarts: int = 0
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [
            f"{sum(self.blows.values())} blows in {self.runs} runs:",
            "  " + ", ".join(f"{role} {self.blows[role]}" for role in ROLES),
            "  " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.kinds.items())),
            f"{self.restarts} restarts, {self.resumes} resumes, {len(self.violations)} violations",
        ]
        return "\n".join([*lines, *self.violations])


class InFiles:
    """Runs whose database is a file in their folder: how they are started, and what is asked of them."""

    def run(self, folder: Path) -> Tree:
        """Start one."""
        return Tree.run(folder)

    def resume(self, folder: Path) -> Tree:
        """Go on with it."""
        return Tree.resume(folder)

    def status(self, folder: Path) -> str | None:
        """The status of the folder's run, None before there is one."""
        try:
            return run_of(folder)[1]
        except IndexError:
            return None

    def left(self, folder: Path) -> list[str]:
        """What a run that has ended should not have left behind."""
        found = [
            f"{lock.name} is not free" for lock in (folder / "runs/locks").iterdir() if probe(lock).state != "free"
        ]
        return found + [f"left over: {path.name}" for path in (folder / "runs").glob("audit.db-*")]

    def bring(self, folder: Path) -> None:
        """Have the record in a file, for whoever checks it."""


class Storm:
    """One series of runs under blows. `chance` decides everything that is left to chance; `runs` is where they are."""

    def __init__(
        self, folder: Path, seed: int, say: Callable[[str], None] = print, runs: InFiles | None = None
    ) -> None:
        self._folder, self._chance, self._say = folder, random.Random(seed), say
        self._runs = runs or InFiles()
        self.tally = Tally()
        self._asleep: dict[int, float] = {}  # pid -> when it is to be woken

    def blow_until(self, enough: Callable[[Tally], bool]) -> Tally:
        """Run after run, until the tally is enough; the last run is left in peace to end."""
        calm = lay(self._folder / "calm", ROWS, settings(ordered=True))
        with Tree.run(calm) as tree:
            if tree.wait(END_SECONDS):
                raise RuntimeError(f"the pipeline does not run undisturbed:\n{tree.log}")
        expected = outputs(calm)
        while not enough(self.tally):
            folder = self._folder / f"run-{self.tally.runs}"
            self._one_run(folder, expected, enough)
            self._say(str(self.tally))
        return self.tally

    def _one_run(self, folder: Path, expected: dict[str, str], enough: Callable[[Tally], bool]) -> None:
        before = len(self.tally.violations)
        self.tally.runs += 1
        value = settings(
            ordered=True, delay=0.004, max_restarts=1_000_000, poison_attempts=1000, hang_timeout_seconds=2.0
        )
        tree = self._runs.run(lay(folder, ROWS, value))
        while True:
            with tree:
                while tree.running and not enough(self.tally):
                    self._wait(self._chance.uniform(*PAUSE_SECONDS), tree)
                    self._strike(tree)
                code = self._await_end(tree)
            if code != -signal.SIGKILL:
                break
            self.tally.resumes += 1
            tree = self._runs.run(folder) if self._runs.status(folder) is None else self._runs.resume(folder)
        self._check(folder, tree, code, expected)
        if len(self.tally.violations) == before:
            shutil.rmtree(folder)

    # -- blows -------------------------------------------------------------------------------------------------

    def _strike(self, tree: Tree) -> None:
        """One blow at a living process of an unfinished run; none if there is no such process just now."""
        alive: dict[str, list[int]] = {"main": [tree.pid]}
        for name, pid in tree.children().items():
            alive.setdefault(name.partition("-")[0], []).append(pid)
        roles = sorted((role for role in ROLES if role in alive), key=lambda role: self.tally.blows[role])
        role = self._chance.choice(roles[:3])
        pid = self._chance.choice(alive[role])
        stop = self._chance.random() < 0.35
        if pid in self._asleep or state_of(pid) in ("", "Z", "X") or self._runs.status(tree.folder) != "running":
            return
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP if stop else signal.SIGKILL)
            if self._runs.status(tree.folder) != "running":
                return  # it had committed its end meanwhile
            self.tally.blows[role] += 1
            self.tally.kinds["SIGSTOP" if stop else "SIGKILL"] += 1
        if stop and (role == "main" or self._chance.random() > FOR_EVER):
            self._asleep[pid] = time.monotonic() + self._chance.uniform(*ASLEEP_SECONDS)

    def _wait(self, seconds: float, tree: Tree) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and tree.running:
            self._wake(time.monotonic())
            time.sleep(0.01)

    def _wake(self, now: float) -> None:
        for pid in [pid for pid, due in self._asleep.items() if due <= now]:
            del self._asleep[pid]
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _await_end(self, tree: Tree) -> int:
        self._wait(END_SECONDS, tree)
        self._wake(float("inf"))
        return tree.wait(1.0)

    # -- what is left ------------------------------------------------------------------------------------------

    def _check(self, folder: Path, tree: Tree, code: int, expected: dict[str, str]) -> None:
        found = [] if code == 0 else [f"exit code {code}: {tree.log[-2000:]}"]
        if not code:
            self._runs.bring(folder)
            found += [f"output {name} differs" for name, digest in outputs(folder).items() if expected[name] != digest]
            found += violations(folder, recompute=False)
        with suppress(AssertionError):
            wait_until(lambda: not tree.survivors())
        found += [f"left over: {title}" for title in tree.survivors()]
        found += self._runs.left(folder)
        self.tally.restarts += 0 if code else len(events(folder, "restarted"))
        self.tally.violations += [f"{folder.name}: {violation}" for violation in found]


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash.chaos", description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=120.0, help="how long to strike (default: 120)")
    parser.add_argument("--blows", type=int, help="strike so often instead")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--folder", type=Path, help="a new folder for the runs (default: a temporary one)")
    chosen = parser.parse_args()
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"seed {chosen.seed}, in {folder}", flush=True)
    until = time.monotonic() + chosen.seconds

    def enough(tally: Tally) -> bool:
        return sum(tally.blows.values()) >= chosen.blows if chosen.blows else time.monotonic() > until

    tally = Storm(folder, chosen.seed, lambda line: print(line, flush=True)).blow_until(enough)
    if not tally.violations and chosen.folder is None:
        shutil.rmtree(folder)
    return 1 if tally.violations else 0


if __name__ == "__main__":
    sys.exit(main())
