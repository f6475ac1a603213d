"""Round after round of torment, each of a kind and with a seed of its own, and the tally of it."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.crash.torment import collisions, evidence, files, system
from tests.crash.torment.round import Round

KINDS: dict[str, Callable[[Round], None]] = {
    "collide": collisions.collide,
    "links": files.links,
    "tamper": evidence.tamper,
    "damage": files.damage,
    "limits": system.limits,
    "versions": system.versions,
}


@dataclass(slots=True)
class Tally:
    """How many rounds there were of each kind, and what was violated, with how to see it again."""

    rounds: Counter[str] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        counted = ", ".join(f"{kind} {self.rounds[kind]}" for kind in KINDS)
        head = f"{sum(self.rounds.values())} rounds ({counted}), {len(self.violations)} violations"
        return "\n".join([head, *self.violations])


class Campaign:
    """Rounds in `folder`, all decided by `seed`: round N of a seed does the same whatever was before it."""

    def __init__(self, folder: Path, seed: int, kinds: Sequence[str] = tuple(KINDS)) -> None:
        self._folder, self._seed, self._kinds = folder, seed, tuple(kinds)
        self.tally = Tally()

    def round(self, number: int) -> list[str]:
        """Carry out one round; answers what was violated. The folder stays if anything was."""
        kind = self._kinds[number % len(self._kinds)]
        folder = self._folder / f"{number}-{kind}"
        folder.mkdir(parents=True)
        this = Round(folder, f"{self._seed} {number} {kind}")
        try:
            KINDS[kind](this)
        except AssertionError as error:
            this.hold(f"nothing stands in the way: {error}", true=False)
        self.tally.rounds[kind] += 1
        again = f"--seed {self._seed} --round {number} --kind {' --kind '.join(self._kinds)}"
        found = [f"VIOLATION in {folder} (again: {again}): {violation}" for violation in this.violations]
        self.tally.violations += found
        if not found:
            shutil.rmtree(folder)
        return found
