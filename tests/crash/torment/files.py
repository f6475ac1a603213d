"""Links that somebody laid, and files that were damaged: nothing of others' is touched, and everything is said."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tests.crash.torment.round import Round, contents
from tests.kit.pipelines.trial import lay, settings, violations

ROWS = 120
DAMAGED = ("runs/audit.db", "input.csv", "output/low.csv", "output/high.csv")
LOOKS = (
    ("status", "latest"),
    ("runs",),
    ("doctor", "--patience", "0"),
    ("explain", "--row", "0"),
    ("verify", "latest"),
)


def links(this: Round) -> None:
    """Links under names that a resume may use lead to somebody's file, which keeps its bytes."""
    folder = lay(this.folder / "run", ROWS, settings(delay=0.004))
    this.killed(folder, ROWS)
    victim = this.folder / "somebodys.txt"
    victim.write_text("somebody's\n")
    (folder / "state" / "cut").mkdir(parents=True, exist_ok=True)
    for name in ("low", "high", "bad"):
        output = folder / "output" / f"{name}.csv"
        size = output.stat().st_size if output.exists() else 0
        offset = this.chance.randrange(size + 1)
        for link in (
            output.with_name(f".{output.name}.takeover"), output.with_name(f"{output.name}.partial"),
            folder / "state" / "cut" / f".{output.name}-{offset}.part",
            folder / "state" / "cut" / f"{output.name}-{offset}", folder / "state" / "payloads",
        ):  # fmt: skip
            if not link.exists() and this.chance.random() < 0.7:
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(victim)
                this.note(f"{link.relative_to(folder)} leads to somebody's file")
    before = contents(victim)
    ended = this.command("run", "--execute", "--auto-resume", folder=folder)
    this.hold("somebody's file keeps its bytes", true=contents(victim) == before)
    this.hold("the run is completed all the same", true=ended.returncode == 0, seen=ended.stderr)
    if ended.returncode == 0:
        found = violations(folder)
        this.hold("every promise holds", true=not found, seen="\n".join(found))


def damage(this: Round) -> None:
    """A file that was damaged is said to be, whatever looks at it; a run is never completed over damage unseen."""
    folder = lay(this.folder / "run", ROWS, settings(delay=0.004))
    complete = this.chance.random() < 0.5
    if complete:
        this.command("run", "--execute", folder=folder)
    else:
        this.killed(folder, ROWS)
    path = folder / this.chance.choice(DAMAGED)
    if not path.exists() or not path.stat().st_size:
        return
    _damage(this, path)
    for words in this.chance.sample(LOOKS, 3):
        this.command(*words, folder=folder)
    if complete and path.parent.name == "output":
        seen = this.command("verify", "latest", "--outputs", folder=folder)
        this.hold("a damaged output does not pass", true=seen.returncode != 0, seen=seen.stdout)
    ended = this.command("run", "--execute", "--auto-resume", folder=folder)
    if not complete and ended.returncode == 0:
        found = violations(folder)
        this.hold("a run that is completed over damage is right", true=not found, seen="\n".join(found))


def _damage(this: Round, path: Path) -> None:
    data = bytearray(path.read_bytes())
    size = len(data)
    match this.chance.choice(("flip", "cut", "zeros", "empty")):
        case "flip":
            places = [this.chance.randrange(size) for _ in range(this.chance.choice((1, 10, 200)))]
            for at in places:
                data[at] ^= 1 << this.chance.randrange(8)
            deed = f"{len(places)} bits of {path.name} were flipped"
        case "cut":
            left = this.chance.randrange(size)
            del data[left:]
            deed = f"{path.name} was cut to {left} of {size} bytes"
        case "zeros":
            at = this.chance.randrange(size)
            data[at : at + 4096] = bytes(min(4096, size - at))
            deed = f"4096 bytes of {path.name} from {at} on are zeros"
        case _:
            data.clear()
            deed = f"{path.name} was emptied"
    before = hashlib.sha256(path.read_bytes()).digest()
    path.write_bytes(data)
    this.note(deed + (" (which changed nothing)" if hashlib.sha256(data).digest() == before else ""))
