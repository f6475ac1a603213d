"""Records a scenario and cuts it: at a boundary, under a model of the disk, by a seed; looks at what is left."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.kit.power import checks
from tests.kit.power.checks import OnRecord
from tests.kit.power.disk import Disk, Tree
from tests.kit.power.recording import Call, record
from tests.kit.power.scenarios import COMMAND, Scenario


@dataclass(frozen=True, slots=True)
class Cut:
    """A power cut: after how many calls, under which model, and what decides everything that the model leaves open."""

    scenario: str
    after: int
    model: str
    seed: int
    resumed: bool

    def __str__(self) -> str:
        how = "resumed" if self.resumed else "as it is"
        return f"{self.scenario}, cut after {self.after} calls, {self.model}, seed {self.seed}, {how}"


@dataclass(slots=True)
class Recording:
    """A scenario that was carried out once: every call, what came out, and what was durable when."""

    scenario: Scenario
    folder: Path
    disk: Disk
    expected: dict[str, str]
    promises: list[tuple[int, dict[str, OnRecord]]] = field(default_factory=list)

    def promised(self, after: int) -> dict[str, OnRecord]:
        """What was durable after so many calls."""
        found: dict[str, OnRecord] = {}
        for moment, promise in self.promises:
            if moment > after:
                break
            found |= promise
        return found

    def look(self, cut: Cut) -> list[str]:
        """Lay out what the power cut leaves, and check it; what is wrong, as sentences."""
        self._lay(self._left(cut))
        promised = self.promised(cut.after)
        if cut.resumed:
            return checks.in_full(self.folder, self.scenario, self.expected, promised)
        return checks.as_it_is(self.folder, self.scenario, promised)

    def keep(self, cut: Cut, place: Path) -> Path:
        """Lay out once more what the power cut leaves, in a place of its own; answers it."""
        place.mkdir(parents=True)
        self._left(cut).lay(place)
        return place

    def _left(self, cut: Cut) -> Tree:
        chance = random.Random(f"{cut.scenario}:{cut.after}:{cut.model}:{cut.seed}")
        return self.disk.kept(cut.after, cut.model, chance)

    def _lay(self, tree: Tree) -> None:
        _empty(self.folder)
        tree.lay(self.folder)
        for path in filter(checks.is_lock, self.folder.rglob("*.lock")):
            # A copy of a lock file says nothing; here it is to be the file itself.
            try:
                text = json.loads(path.read_bytes())
                path.write_text(json.dumps({**text, "inode": path.stat().st_ino}), encoding="utf-8")
            except ValueError:
                continue

    def _find_promises(self) -> None:
        """What a disk that keeps nothing but what was synced shows, each time that something was synced."""
        last: dict[str, OnRecord] = {}
        below = checks.DATABASE.parent
        for moment in self.disk.durable_moments(below):
            _empty(self.folder)
            self.disk.kept(moment, "strict", random.Random()).lay(self.folder, below)
            found = checks.runs(self.folder)
            if found != last:
                self.promises.append((moment, found))
                last = found


def recorded(scenario: Scenario, folder: Path, keep: Callable[[Call], bool] = lambda call: True) -> Recording:
    """Carry a scenario out in a new folder and record it. Raises `AssertionError` where it does not end as it should.

    Calls that `keep` says no of are forgotten, as if the program had not made them. What the model of the disk holds in
    the end must be what the real one holds, byte for byte.
    """
    folder.mkdir(parents=True)
    folder = folder.resolve()
    scenario.lay(folder)
    with scenario.before(folder):
        disk = Disk(folder)
        for number, step in enumerate(scenario.steps):
            mark = folder.with_name(f"{folder.name}.{number}.mark")
            arms = {"CRASH_POINT": f"{step.dies_at}:{mark}", "CRASH_GROUP": "1"} if step.dies_at else {}
            trace = folder.with_name(f"{folder.name}.{number}.trace")
            code, calls = record(folder, [*COMMAND, *step.words], trace, {**checks.environment(), **arms})
            said = trace.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
            assert mark.exists() == bool(step.dies_at), f"{scenario.name}: {step}:\n{said}"
            assert (code == 0) == (not step.dies_at), f"{scenario.name}: {step} ended with {code}:\n{said}"
            disk.apply(calls, keep)
            trace.unlink()
        differing = list(_differences(disk, folder))
        assert differing == [], f"{scenario.name}: the recording is not what happened: {differing}"
    recording = Recording(scenario, folder, disk, checks.outputs(folder))
    recording._find_promises()
    return recording


def _differences(disk: Disk, folder: Path) -> Iterator[str]:
    modelled = {path: content for path, _, content in disk.whole().files()}
    real = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in sorted(modelled.keys() | real.keys()):
        if not path.name.endswith("-shm") and modelled.get(path) != real.get(path):
            yield f"{path}: {len(modelled.get(path, b''))} bytes modelled, {len(real.get(path, b''))} real"


def _empty(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
