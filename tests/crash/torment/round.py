"""One round of a campaign: a folder, chance, and what was done and violated in it."""

from __future__ import annotations

import hashlib
import os
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

from tests.kit.processes.running import ELSPETH, environment
from tests.kit.processes.tree import Tree, committed
from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until

DOCUMENTED = {*range(14), 75, 129, 130, 143}
BUGS = ("Traceback (most recent call last)", "bug in Elspeth")


class Round:
    """What a kind of torment is given: where to work, what decides, and where to write down what it did."""

    def __init__(self, folder: Path, seed: str) -> None:
        self.folder, self.chance = folder, random.Random(seed)
        self.done: list[str] = []
        self.violations: list[str] = []

    def note(self, deed: str) -> None:
        """Write down what was done: with the seed, it says how to come here again."""
        self.done.append(deed)

    def hold(self, claim: str, *, true: object, seen: str = "") -> None:
        """Write a violation down if the claim is not true."""
        if not true:
            self.violations.append(f"{claim}; {'; '.join(self.done)}{f':{os.linesep}{seen}' if seen else ''}")

    def command(
        self, *words: str | Path, folder: Path | None = None, before: Callable[[], None] | None = None, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Carry a command out to its end; it must end in a documented way, and in words."""
        done = subprocess.run(
            [ELSPETH, *words], cwd=folder or self.folder, env=environment(**variables), capture_output=True, text=True,
            errors="replace", timeout=PATIENCE_SECONDS, preexec_fn=before, check=False,
        )  # fmt: skip
        said = f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
        line = f"elspeth {' '.join(map(str, words))} -> {done.returncode}"
        self.note(line)
        self.hold(f"{line}: the exit code is a documented one", true=done.returncode in DOCUMENTED, seen=said)
        self.hold(f"{line}: it ends in words", true=not any(bug in said for bug in BUGS), seen=said)
        return done

    def killed(self, folder: Path, rows: int) -> None:
        """A run of the folder's pipeline whose main process is killed somewhere after its first commits."""
        after = self.chance.randrange(1, max(2, rows // 2))
        self.note(f"killed when more than {after} rows were committed")
        with Tree.run(folder) as tree:
            wait_until(lambda: committed(folder) > after or not tree.running)
            tree.popen.kill()
            tree.popen.wait()


def contents(*paths: Path) -> dict[str, str]:
    """What files hold, as hashes; a link counts as what it leads to."""
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths if path.is_file()}
