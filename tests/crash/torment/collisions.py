"""Settings in which an output is something else already, by whatever name: nothing may be harmed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml

from tests.crash.torment.round import Round, contents
from tests.kit.pipelines.trial import lay, settings

ROWS = 5
VICTIMS = ("runs/audit.db", "runs/audit.db-wal", "pipeline.yaml", "input.csv", "own.py", "output/low.csv",
           "runs/locks/x.lock", "audit.jsonl")  # fmt: skip
WAYS = ("itself", "dotted", "absolute", "symbolic link", "hard link", "linked folder")
PLUGIN = "from elspeth.plugins.contract import Transform\n\n\nclass Own(Transform):\n    name = 'own'\n"


def collide(this: Round) -> None:
    """A sink or the journal under the name of something else of this run's."""
    folder = lay(this.folder / "run", ROWS, settings())
    (folder / "own.py").write_text(PLUGIN)
    victim, way = folder / this.chance.choice(VICTIMS), this.chance.choice(WAYS)
    if this.chance.random() < 0.5:
        assert this.command("run", "--execute", folder=folder).returncode == 0
    victim.parent.mkdir(parents=True, exist_ok=True)
    if not victim.exists() and way != "itself":
        victim.write_text("somebody's\n")
    name = _named(folder, victim, way)
    role = this.chance.choice(("sink", "journal", "reading sink"))
    this.note(f"the {role} is {victim.relative_to(folder)} ({way})")
    value = yaml.safe_load((folder / "pipeline.yaml").read_text())
    value["plugins"].append("own.py")
    _place(value, role, name)
    (folder / "pipeline.yaml").write_text(yaml.safe_dump(value, sort_keys=False))
    if role != "sink" and victim.name == "low.csv":
        return  # another sink's file is its own
    before = contents(*(folder / other for other in VICTIMS if other != "output/low.csv"))
    checked = this.command("validate", folder=folder)
    ran = this.command("run", "--execute", "--force-new", folder=folder)
    this.hold("a collision is refused by run", true=ran.returncode != 0, seen=checked.stdout + ran.stderr)
    after = contents(*map(Path, before))
    this.hold("what collides keeps its bytes", true=_data(after) == _data(before), seen=f"{before}\n{after}")


def _named(folder: Path, victim: Path, way: str) -> str:
    relative = victim.relative_to(folder)
    other = folder / "other_name.csv"
    match way:
        case "dotted":
            return f"./{relative.parent}/.//{relative.name}"
        case "absolute":
            return str(victim)
        case "symbolic link" | "hard link":
            other.unlink(missing_ok=True)
            other.symlink_to(victim) if way == "symbolic link" else os.link(victim, other)
            return other.name
        case "linked folder":
            (folder / "elsewhere").symlink_to(victim.parent)
            return f"elsewhere/{relative.name}"
    return str(relative)


def _place(value: dict[str, Any], role: str, name: str) -> None:
    if role == "journal":
        value["landscape"] = {"dump_to_jsonl": True, "dump_to_jsonl_path": name}
        return
    mode = "write" if role == "sink" else "append"
    value["sinks"]["high"] = {"plugin": "csv", "options": {"path": name, "mode": mode}}


def _data(files: dict[str, str]) -> dict[str, str]:
    """Without side files of a database, whose readers may write marks."""
    return {name: digest for name, digest in files.items() if not name.endswith(("-wal", "-shm"))}
