"""Limits of the system, and versions that are others than those a run was begun with."""

from __future__ import annotations

import resource
import shutil
import sqlite3
from contextlib import closing

from elspeth.errors import EXIT_MISMATCH
from tests.crash.torment.round import Round
from tests.kit.pipelines.trial import PLUGINS, lay, settings, violations
from tests.kit.processes.tree import DATABASE

ROWS = 80
LIMITS = {
    "RLIMIT_AS": lambda chance: chance.randrange(30, 400) << 20,
    "RLIMIT_NOFILE": lambda chance: chance.randrange(8, 64),
    "RLIMIT_FSIZE": lambda chance: chance.randrange(1, 600) << 10,
    "RLIMIT_DATA": lambda chance: chance.randrange(10, 200) << 20,
}


def limits(this: Round) -> None:
    """Too little of something is nobody's fault: it is said, blames no row, and costs nothing when it is over."""
    folder = lay(this.folder / "run", ROWS, settings(max_restarts=1, poison_attempts=1))
    name = this.chance.choice(sorted(LIMITS))
    amount = LIMITS[name](this.chance)
    this.note(f"{name} is {amount}")
    number = getattr(resource, name)
    ended = this.command("run", "--execute", folder=folder, before=lambda: resource.setrlimit(number, (amount, amount)))
    this.hold("it is completed, or stopped by a limit", true=ended.returncode in (0, 75), seen=ended.stderr)
    again = this.command("run", "--execute", "--auto-resume", folder=folder)
    this.hold("without the limit it is completed", true=again.returncode == 0, seen=again.stderr)
    if again.returncode == 0:
        found = violations(folder)
        this.hold("every promise holds, and no row is blamed", true=not found, seen="\n".join(found))


def versions(this: Round) -> None:
    """What another version wrote or would decide is refused, until somebody says otherwise."""
    value = settings(delay=0.004)
    folder = lay(this.folder / "run", ROWS, value)
    plugins = folder / "trial_plugins.py"
    shutil.copy(PLUGINS, plugins)
    text = (folder / "pipeline.yaml").read_text().replace(str(PLUGINS), plugins.name)
    (folder / "pipeline.yaml").write_text(text)
    this.killed(folder, ROWS)
    if this.chance.random() < 0.5:
        with plugins.open("a", encoding="utf-8") as file:
            file.write("\n# another version\n")
        this.note("plugin code changed")
        refused = this.command("resume", "latest", folder=folder)
        this.hold("another plugin code is refused", true=refused.returncode == EXIT_MISMATCH, seen=refused.stderr)
        ended = this.command("resume", "latest", "--accept-changed-code", folder=folder)
    else:
        with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
            (before,) = connection.execute("PRAGMA user_version").fetchone()
            connection.execute(f"PRAGMA user_version = {before + this.chance.randrange(1, 100)}")
        this.note("the database is of a later version")
        for words in (("resume", "latest"), ("status", "latest"), ("verify", "latest"), ("run", "--execute")):
            refused = this.command(*words, folder=folder)
            this.hold("a later version is refused", true=refused.returncode != 0, seen=refused.stderr)
        with closing(sqlite3.connect(folder / DATABASE)) as connection, connection:
            connection.execute(f"PRAGMA user_version = {before}")
        ended = this.command("resume", "latest", folder=folder)
    this.hold("then the run is completed", true=ended.returncode == 0, seen=ended.stderr)
    if ended.returncode == 0:
        found = violations(folder)
        this.hold("every promise holds", true=not found, seen="\n".join(found))
