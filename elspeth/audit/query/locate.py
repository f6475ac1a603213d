"""Finds the audit database that a command means, without creating anything, and remembers where it looked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from elspeth.audit.store import database, schema
from elspeth.errors import ElspethError, SettingsError, Temporary

VARIABLE = "ELSPETH_LANDSCAPE__URL"
PLACES = (Path("runs/audit.db"), Path("state/audit.db"), Path("data/audit.db"))


def locate(named: str | None, environ: Mapping[str, str], directory: Path) -> Path:
    """The audit database: the one `--database` names, else the environment's, else one of the usual places.

    `named` and the variable are paths or URLs; relative ones count from `directory`. What is named must be right.
    Among the usual places, a file that is empty or not ours is passed over. Raises `ElspethError` saying where was
    looked and what was found there, `SettingsError` for a URL that names no file.
    """
    for origin, value in (("--database", named), (VARIABLE, environ.get(VARIABLE))):
        if value:
            path = directory / database.path_of(value)
            found = describe(path)
            if found is None:
                return path
            raise (SettingsError if origin == "--database" else ElspethError)(
                f"{path} {found}", details=[f"named by {origin}"], next_step="name an existing one with --database"
            )
    looked = []
    for place in PLACES:
        path = directory / place
        found = describe(path)
        if found is None:
            return path
        looked.append(f"{path} {found}")
    raise ElspethError(
        "no audit database found",
        details=[f"{VARIABLE} is not set", *looked],
        next_step="name it with --database, or start a run, which creates one",
    )


def describe(path: Path) -> str | None:
    """Why this file is no audit database, as the end of a sentence; None if it is one.

    Raises `Temporary` where that cannot be told now: a database that is locked is not to be passed over.
    """
    if not path.exists():
        return "does not exist"
    if not path.is_file():
        return "is not a file"
    if path.stat().st_size == 0:
        return "is empty"
    try:
        connection = database.open_reader(path)
    except Temporary:
        raise
    except ElspethError as error:
        return f"cannot be used: {error.message}"
    try:
        with database.translated_errors(path):
            if schema.version(connection) is not None:
                return None
            return "is empty" if schema.is_empty(connection) else "is a database of another program"
    except Temporary:
        raise
    except ElspethError as error:
        return f"cannot be used: {error.message}"
    finally:
        connection.close()
