"""Finds the audit database that a command means, without creating anything, and remembers where it looked."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from elspeth.audit.store import database, schema
from elspeth.audit.store.place import Place, PostgresPlace, place_of
from elspeth.errors import ElspethError, SettingsError, Temporary

VARIABLE = "ELSPETH_LANDSCAPE__URL"
PLACES = (Path("runs/audit.db"), Path("state/audit.db"), Path("data/audit.db"))
_ABSENT, _EMPTY = "does not exist", "is empty"


class NoDatabaseYet(ElspethError):
    """None is named, and nothing stands in any of the usual places: no run was ever started here."""


def locate(named: str | None, environ: Mapping[str, str], directory: Path) -> Place:
    """The audit database: the one `--database` names, else the environment's, else one of the usual places.

    `named` and the variable are paths or URLs; relative ones count from `directory`. What is named must be right.
    Among the usual places, a file that is empty or not ours is passed over. Raises `ElspethError` saying where was
    looked and what was found there (`NoDatabaseYet`: nothing), `SettingsError` for a URL that names no database.
    """
    for origin, value in (("--database", named), (VARIABLE, environ.get(VARIABLE))):
        if value:
            place = within(place_of(value), directory)
            found = describe(place)
            if found is None:
                return place
            raise (SettingsError if origin == "--database" else ElspethError)(
                f"{place} {found}", details=[f"named by {origin}"], next_step="name an existing one with --database"
            )
    looked = []
    kind: type[ElspethError] = NoDatabaseYet
    for usual in PLACES:
        path = directory / usual
        found = describe(path)
        if found is None:
            return path
        looked.append(f"{path} {found}")
        kind = kind if found in (_ABSENT, _EMPTY) else ElspethError
    raise kind(
        "no audit database found",
        details=[f"{VARIABLE} is not set", *looked],
        next_step="name it with --database, or start a run, which creates one",
    )


def within(place: Place, directory: Path) -> Place:
    """The place, a relative path counted from this directory."""
    return place if isinstance(place, PostgresPlace) else directory / place


def is_blank(place: Place) -> bool:
    """Whether there is nothing yet: no file, or a database without a table, as it is left by a death over its creation.

    Raises `Temporary` where that cannot be told now.
    """
    return (isinstance(place, Path) and not place.exists()) or describe(place) == _EMPTY


def describe(place: Place) -> str | None:
    """Why this is no audit database, as the end of a sentence; None if it is one.

    Raises `Temporary` where that cannot be told now: a database that is locked is not to be passed over. What a server
    refuses is raised, too, since nothing else is meant.
    """
    if isinstance(place, Path):
        if not place.exists():
            return _ABSENT
        if not place.is_file():
            return "is not a file"
        if place.stat().st_size == 0:
            return _EMPTY
    try:
        connection = database.open_reader(place)
    except Temporary:
        raise
    except ElspethError as error:
        if isinstance(place, PostgresPlace):
            raise
        return f"cannot be used: {error.message}"
    try:
        with database.translated_errors(place):
            if schema.version(connection) is not None:
                return None
            return _EMPTY if schema.is_empty(connection) else "is a database of another program"
    except Temporary:
        raise
    except ElspethError as error:
        return f"cannot be used: {error.message}"
    finally:
        connection.close()
