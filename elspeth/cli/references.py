"""A run as people name it to a command: told from the name of a file, before a database is looked for."""

from __future__ import annotations

import os
from pathlib import Path

from elspeth.cli import output
from elspeth.errors import SettingsError


def require_run(reference: str, for_settings: str = "validate") -> None:
    """Raise `SettingsError`, naming the file, where a file is named in place of a run.

    A run's id, its beginning and `latest` hold neither a dot nor a slash. `for_settings` is the command that takes a
    settings file.
    """
    if os.sep not in reference and "." not in reference:
        return
    path = Path(reference)
    if not os.path.lexists(path):
        raise missing(path, "nor is that the id of a run")
    kind = "folder" if path.is_dir() else "file"
    step = "elspeth runs"
    if path.suffix in (".yaml", ".yml"):
        step = output.command("elspeth", for_settings, "--settings", path)
    elif kind == "folder" or path.suffix == ".jsonl":
        step = output.command("elspeth", "verify", path)
    raise SettingsError(f"{reference} is a {kind}, and what is asked for here is a run", next_step=step)


def missing(path: Path, besides: str = "") -> SettingsError:
    """The error of a file or folder that is named and is not there."""
    return SettingsError(
        f"{path} does not exist" + (f", {besides}" if besides else ""),
        details=() if path.is_absolute() else (f"looked in {Path.cwd()}",),
        next_step="correct the path, or name a run: elspeth runs",
    )
