"""Breaks the code, one change at a time, and asks the tests: ops/mutants.

The tree is copied once. Each mutant is made in the copy, the tests that should notice it are run there, folder by
folder until one fails, and it is taken back. A mutant that no test notices survives: a test is missing, or the change
changes nothing that anybody could notice (it is equivalent).
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from tests.kit.mutants import random_ones
from tests.kit.mutants.promises import PROMISES, Mutant
from tests.kit.processes.program import ROOT

PATIENCE_SECONDS = 900.0
COPIED = ("actors", "elspeth", "ops", "tests", "elspeth.egg-info", "pyproject.toml", "setup.cfg", "README.md",
          "CONTRIBUTING.md", "CHANGELOG.md")  # fmt: skip


def notices(copy: Path, mutant: Mutant) -> str | None:
    """The first of the mutant's tests that notices it, None if none does."""
    path = copy / mutant.file
    before = path.read_text(encoding="utf-8")
    assert before.count(mutant.old) == 1, (
        f"{mutant.name}: what is to be changed stands {before.count(mutant.old)} times"
    )
    path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        return next((test for test in mutant.tests if not passes(copy, test)), None)
    finally:
        path.write_text(before, encoding="utf-8")


def passes(copy: Path, test: str) -> bool:
    """Whether these tests pass in the copy, within `PATIENCE_SECONDS`."""
    words = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", test]
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        words, cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        return process.wait(PATIENCE_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what the tests started and a change left running
        process.wait()


def copied(folder: Path) -> Path:
    """A copy of the tree, in which nothing is compiled."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(source, folder / name)
    return folder


def survivors(mutants: Sequence[Mutant], copy: Path) -> Iterator[Mutant]:
    """Those that no test notices; each is said as it is tried. A test that fails without the mutant says nothing."""
    sound: set[str] = set()
    unsound: set[str] = set()
    for number, mutant in enumerate(mutants, 1):
        by = notices(copy, mutant)
        while by is not None and by not in sound:
            if passes(copy, by):
                sound.add(by)
                continue
            print(f"{by} fails as it is, and is not asked any more", flush=True)
            unsound.add(by)
            left = tuple(test for test in mutant.tests if test not in unsound)
            by = notices(copy, replace(mutant, tests=left))
        print(f"{number}/{len(mutants)} {'noticed' if by else 'SURVIVED'}: {mutant.name}", flush=True)
        if by is None:
            yield mutant


def main(words: Sequence[str] | None = None) -> int:
    """The command: 0 where at least `--least` percent were noticed, else 1."""
    parser = argparse.ArgumentParser(prog="ops/mutants", description="Break the code, and ask the tests.")
    parser.add_argument("--random", type=int, default=120, help="how many random mutants (default: 120)")
    parser.add_argument("--seed", type=int, default=1, help="of the random ones (default: 1)")
    parser.add_argument("--only", help="mutants with this text in their name")
    parser.add_argument("--least", type=float, default=92.0, help="percent that must be noticed (default: 92)")
    chosen = parser.parse_args(words)
    mutants = [*PROMISES, *random_ones.sample(ROOT, chosen.random, chosen.seed)]
    mutants = [mutant for mutant in mutants if chosen.only is None or chosen.only in mutant.name]
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copy = copied(Path(folder))
        found = list(survivors(mutants, copy))
    share = 100 * (1 - len(found) / max(1, len(mutants)))
    print(f"{len(mutants) - len(found)} of {len(mutants)} noticed ({share:.1f} %)")
    print("\n".join(f"  survived: {mutant.name}" for mutant in found))
    return 0 if share >= chosen.least else 1


if __name__ == "__main__":
    sys.exit(main())
