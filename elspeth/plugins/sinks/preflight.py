"""Looks at the place where an output is to be written, before anything is created, locked or changed there."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Literal

from elspeth.durable import foreign_link
from elspeth.errors import SettingsError, Temporary
from elspeth.plugins.contract import Position
from elspeth.plugins.sinks.files import temporary
from elspeth.plugins.sinks.prefix_hash import EMPTY, digest_file
from elspeth.plugins.sinks.truncations import LONGEST_NAME

LONGEST_PATH = 4096
"""Bytes of a path that Linux takes, the NUL behind it counted (PATH_MAX)."""

CollisionPolicy = Literal["overwrite", "fail", "fail_if_exists", "auto_increment", "append_or_create"]


def inspect_place(
    path: Path, mode: Literal["write", "append"], collision: CollisionPolicy, plain_suffix: str | None = None
) -> Position:
    """The position before the first row of an output at `path`.

    `base` says what was there: with `append` the size and SHA-256 of what stays, with `write` the size and
    modification time of the file that will be overwritten, else None. `plain_suffix` is the suffix in front of that of
    a compression, where the path has one: numbers go before both. Raises `SettingsError` for a place that can
    never work and `Temporary` for one that may once it is mended.
    """
    if collision == "auto_increment":
        _require_possible(path)
        path = _first_free(path, plain_suffix)
    facts = _facts(path)
    _require_folder(path)
    position: Position = {
        "path": str(path),
        "resolved": os.path.realpath(path),
        "size": 0,
        "sha256": EMPTY,
        "rows": 0,
        "base": None,
    }
    if facts is None:
        return position
    if collision in ("fail", "fail_if_exists"):
        raise SettingsError(
            f"Output {path} exists already, and its collision_policy is {collision}.",
            next_step="Move the file away, or set collision_policy to overwrite or auto_increment.",
            option=("collision_policy",),
        )
    if not os.access(path, os.R_OK | os.W_OK):
        raise Temporary(
            f"Output {path} cannot be read and written: permission was denied.", next_step=f"chmod u+rw {path}"
        )
    if mode == "append" or collision == "append_or_create":
        try:
            size, sha256 = digest_file(path)
        except OSError as error:
            raise temporary(path, "read", error) from error
        position |= {"size": size, "sha256": sha256, "base": {"size": size, "sha256": sha256}}
    else:
        position["base"] = {"replaces": {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns}}
    return position


def _facts(path: Path) -> os.stat_result | None:
    _require_possible(path)
    try:
        link = foreign_link(path)
        if link is not None:
            raise SettingsError(
                f"Output {path} leads through the link {link}, which somebody else laid.",
                next_step=f"Remove {link}, or name the file it leads to.",
            )
        facts = path.stat()
    except FileNotFoundError:
        return None
    except NotADirectoryError:
        raise SettingsError(
            f"Output {path} cannot be created: a part of its folder's path is a file.",
            next_step="Change the sink's path.",
        ) from None
    except OSError as error:
        raise temporary(path, "look at", error) from error
    if stat.S_ISREG(facts.st_mode):
        return facts
    kind = "folder" if stat.S_ISDIR(facts.st_mode) else "pipe" if stat.S_ISFIFO(facts.st_mode) else "device or socket"
    raise SettingsError(
        f"Output {path} is a {kind}, and only a regular file can be continued after a crash.",
        next_step="Change the sink's path, or use the sink `null` to throw rows away.",
    )


def _require_possible(path: Path) -> None:
    """Raise `SettingsError` for a name that no file can have, whatever folders are made for it later."""
    longest = max((os.fsencode(part) for part in path.parts), key=len, default=b"")
    if len(longest) > LONGEST_NAME:
        raise SettingsError(
            f"Output {path} cannot be created: a name in it has {len(longest)} bytes, {LONGEST_NAME} are possible.",
            next_step="Change the sink's path.",
        )
    if len(os.fsencode(path.absolute())) >= LONGEST_PATH:
        raise SettingsError(
            f"Output {path} cannot be created: its path is longer than {LONGEST_PATH - 1:,} bytes.",
            next_step="Change the sink's path.",
        )
    if "\0" in str(path):
        raise SettingsError(
            f"Output {str(path)!r} cannot be created: no name can hold the character NUL.",
            next_step="Change the sink's path.",
        )


def _require_folder(path: Path) -> None:
    folder = Path(os.path.realpath(path)).parent
    while not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise SettingsError(
            f"Output {path} cannot be created: {folder} is not a folder.", next_step="Change the sink's path."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Temporary(
            f"Output {path} cannot be created: folder {folder} is not writable.", next_step=f"chmod u+wx {folder}"
        )


def _first_free(path: Path, plain_suffix: str | None) -> Path:
    candidate = path
    packed = plain_suffix is not None and plain_suffix != path.suffix
    end = f"{plain_suffix}{path.suffix}" if packed else path.suffix
    stem = path.name.removesuffix(end)
    number = 0
    while os.path.lexists(candidate):
        number += 1
        candidate = path.with_name(f"{stem}_{number}{end}")
    return candidate
