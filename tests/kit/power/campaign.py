"""Cuts the power of recorded runs at many moments: ops/power, and a part of it in the tests.

Every scenario is carried out once under strace. Then, for each cut, what a disk may have kept after so many calls is
laid out in the same folder, under one of three models. Most cuts are looked at as they are: the database is opened and
held, by the independent checker, against outputs, payloads, copies of cut tails and the journal, and against what had
been durable before. A share is carried on by the command to the end, then checked in full and compared with what the
recorded run left. Of a recording that is kept for a cut that went wrong, the folder shows what lay on the disk.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.kit.power.cuts import Cut, Recording, recorded
from tests.kit.power.disk import MODELS
from tests.kit.power.recording import NotRecordable, require_strace
from tests.kit.power.scenarios import SCENARIOS


def sample(recording: Recording, count: int, resumed: int, seed: int) -> Iterator[Cut]:
    """Cuts of a recording, `resumed` of them to be carried on: half of them anywhere, half of them beside a sync."""
    chance = random.Random(f"{recording.scenario.name}:{seed}")
    disk = recording.disk
    for number in range(count):
        if number % 2:
            after = chance.choice(disk.syncs).number + chance.randint(-1, 2)
        else:
            after = chance.randint(0, disk.count)
        model = MODELS[number % len(MODELS)]
        after = min(max(after, 0), disk.count)
        yield Cut(recording.scenario.name, after, model, chance.randrange(1 << 32), number < resumed)


def main(words: Sequence[str] | None = None) -> int:
    """The command: 0 where nothing was wrong, 1 where something was, 2 where this machine cannot record."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(prog="ops/power", description="Cut the power of recorded runs, and resume them.")
    parser.add_argument("--cuts", type=int, default=3300, help="over all scenarios (default: 3300)")
    parser.add_argument("--resumed", type=float, default=0.25, help="the share that is carried on (default: 0.25)")
    parser.add_argument("--scenario", action="append", choices=names, help="one of them (default: all); again for more")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--folder", type=Path, help="a new folder for what is laid out (default: a temporary one)")
    chosen = parser.parse_args(words)
    try:
        require_strace()
    except NotRecordable as error:
        print(error, file=sys.stderr)
        return 2
    folder = chosen.folder or Path(tempfile.mkdtemp(prefix="power-"))
    scenarios = [scenario for scenario in SCENARIOS if chosen.scenario is None or scenario.name in chosen.scenario]
    print(f"seed {chosen.seed}, in {folder}", flush=True)
    done: Counter[str] = Counter()
    for scenario in scenarios:
        recording = recorded(scenario, folder / scenario.name.replace(" ", "-"))
        count = round(chosen.cuts / len(scenarios))
        before = done["violations"]
        for cut in sample(recording, count, round(count * chosen.resumed), chosen.seed):
            done["resumed" if cut.resumed else "looked at"] += 1
            if wrong := recording.look(cut):
                done["violations"] += 1
                kept = recording.keep(cut, folder / f"violation-{done['violations']}")
                print("\n  ".join([f"{cut} (see {kept}):", *wrong]), flush=True)
        calls, syncs = recording.disk.count, len(recording.disk.syncs)
        wrong_here = done["violations"] - before
        print(f"{scenario.name}: {calls} calls, {syncs} syncs, {count} cuts, {wrong_here} violations", flush=True)
    print(f"{done['looked at']} looked at, {done['resumed']} resumed in full, {done['violations']} violations")
    return 1 if done["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
