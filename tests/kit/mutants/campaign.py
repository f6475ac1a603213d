"""Breaks the code, one change at a time, and asks the tests: ops/mutants.

The tree is copied once. Each mutant is made in the copy, the tests that should notice it are run there, group by group
until one fails, and it is taken back. A mutant that no test notices survives: a test is missing, or the change changes
nothing that anybody could notice (it is equivalent).
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from tests.kit.mutants import random_ones
from tests.kit.mutants.promises import PROMISES, Mutant
from tests.kit.processes.program import ROOT

PATIENCE_SECONDS = 600.0
"""So long a group of tests may take. Tests that hang for want of what a mutant took away notice it, too."""

NOTHING_TO_DO = 5
"""How pytest ends where no test was left to be carried out."""

_FAILED = re.compile(r"^(\S+\.py::.+?) (?:FAILED|ERROR) +\[", re.MULTILINE)
_NOT_COLLECTED = re.compile(r"^ERROR (\S+\.py)", re.MULTILINE)

COPIED = ("actors", "elspeth", "ops", "tests", "elspeth.egg-info", "pyproject.toml", "setup.cfg", "README.md",
          "CONTRIBUTING.md", "CHANGELOG.md")  # fmt: skip


class Trial:
    """A copy of the tree in which mutants are made."""

    def __init__(self, copy: Path) -> None:
        self._copy = copy
        self._unsound: set[str] = set()

    def notices(self, mutant: Mutant) -> str | None:
        """The first test that notices the mutant, None if none does. A test that fails without it says nothing."""
        path = self._copy / mutant.file
        before = path.read_text(encoding="utf-8")
        assert before.count(mutant.old) == 1, (
            f"{mutant.name}: what is to be changed stands {before.count(mutant.old)} times"
        )
        groups = [group for group in mutant.tests if group not in self._unsound]
        while groups:
            path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
            try:
                failed = self._failing(*groups[0].split())
            finally:
                path.write_text(before, encoding="utf-8")
            if failed is not None and self._failing(*[failed] if "::" in failed else failed.split()) is None:
                return failed
            if failed is None or failed == groups[0]:
                groups.pop(0)
            if failed is not None:
                print(f"{failed} fails as it is, and is not asked any more", flush=True)
                self._unsound.add(failed)
        return None

    def _failing(self, *tests: str) -> str | None:
        """The first of these tests that fails, all of them if they do not end; None if all pass."""
        words = [sys.executable, "-m", "pytest", "-x", "-v", "-rE", "-p", "no:cacheprovider", *tests]
        words += [word for test in sorted(self._unsound.difference(tests)) for word in ("--deselect", test)]
        environment = {**os.environ, "PYTHONPATH": str(self._copy), "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "1000"}
        process = subprocess.Popen(
            words, cwd=self._copy, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, start_new_session=True, text=True,
        )  # fmt: skip
        try:
            said, _ = process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            return " ".join(tests)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what the tests started and a change left running
            process.wait()
        if process.returncode in (0, NOTHING_TO_DO):
            return None
        found = _FAILED.search(said) or _NOT_COLLECTED.search(said)
        return found[1] if found else " ".join(tests)


def copied(folder: Path) -> Path:
    """A copy of the tree, compiled once; what is compiled is taken only where its source is as it was."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy(source, folder / name)
    for name in ("actors", "elspeth", "tests"):
        # Told apart by content: a mutant may be as long as what it stands for, and of the same second.
        compileall.compile_dir(folder / name, quiet=2, invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    return folder


def main(words: Sequence[str] | None = None) -> int:
    """The command: 0 where at least `--least` percent were noticed, else 1."""
    parser = argparse.ArgumentParser(prog="ops/mutants", description="Break the code, and ask the tests.")
    parser.add_argument("--random", type=int, default=120, help="how many random mutants (default: 120)")
    parser.add_argument("--seed", type=int, default=1, help="of the random ones (default: 1)")
    parser.add_argument("--only", help="mutants with this text in their name")
    parser.add_argument("--first", type=int, default=1, help="carry on at this number of the list (default: 1)")
    parser.add_argument("--part", default="1/1", help="one of so many equal parts of the list, for several at once")
    parser.add_argument("--least", type=float, default=92.0, help="percent that must be noticed (default: 92)")
    chosen = parser.parse_args(words)
    mutants = [*PROMISES, *random_ones.sample(ROOT, chosen.random, chosen.seed)]
    mutants = [mutant for mutant in mutants if chosen.only is None or chosen.only in mutant.name]
    part, parts = map(int, chosen.part.split("/"))
    numbered = list(enumerate(mutants, 1))[chosen.first - 1 :][part - 1 :: parts]
    tried, found = 0, []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trial = Trial(copied(Path(folder)))
        for number, mutant in numbered:
            begun = time.monotonic()
            by = trial.notices(mutant)
            took = f"{time.monotonic() - begun:.0f} s"
            how = f"noticed by {by}" if by else "SURVIVED"
            print(f"{number}/{len(mutants)} {how} ({took}): {mutant.name}", flush=True)
            tried += 1
            if by is None:
                found.append(mutant)
    share = 100 * (1 - len(found) / max(1, tried))
    print(f"{tried - len(found)} of {tried} noticed ({share:.1f} %)")
    print("\n".join(f"  survived: {mutant.name}" for mutant in found))
    return 0 if share >= chosen.least else 1


if __name__ == "__main__":
    sys.exit(main())
