"""Tables that templates look values up in, from YAML or JSON files or from the settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from elspeth.errors import SettingsError
from elspeth.file_identity import NotRegularFile, open_regular
from elspeth.plugins.options import KeyPath

LARGEST_FILE = 64 * 1024 * 1024

_OPTION: KeyPath = ("lookups",)


def read_text(path: Path, what: str, option: KeyPath) -> str:
    """The text of a file that an option names. Raises `SettingsError` that says what is wrong with it."""
    try:
        with open_regular(path) as file:
            data = file.read(LARGEST_FILE + 1)
    except NotRegularFile:
        raise _refused(path, what, "is no regular file", option) from None
    except OSError as error:
        raise _refused(path, what, f"cannot be read: {error.strerror or error}", option) from None
    if len(data) > LARGEST_FILE:
        raise _refused(path, what, f"is larger than {LARGEST_FILE} bytes", option)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _refused(path, what, f"is not UTF-8: {error.reason}", option) from None


def tables(given: Mapping[str, Any] | Path | None) -> Mapping[str, Any]:
    """All tables by name: each from its file, or as it stands in the settings; one file alone may hold all of them."""
    if given is None:
        return {}
    if isinstance(given, Path):
        found = _table(given, _OPTION)
        if not isinstance(found, dict):
            raise _refused(given, "the look-up file", "holds no mapping of names to tables", _OPTION)
        return found
    return {name: _table(held, (*_OPTION, name)) if isinstance(held, Path) else held for name, held in given.items()}


def files(given: Mapping[str, Any] | Path | None) -> tuple[Path, ...]:
    """The files among them."""
    if isinstance(given, Path):
        return (given,)
    return tuple(held for held in (given or {}).values() if isinstance(held, Path))


def _table(path: Path, option: KeyPath) -> Any:
    text = read_text(path, "the look-up file", option)
    try:
        return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # JSON is YAML, too
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        place = getattr(error, "problem_mark", None)
        line = f", line {place.line + 1}" if place else ""
        raise _refused(
            path, "the look-up file", f"is no YAML{line}: {getattr(error, 'problem', None) or error}", option
        ) from None


def _refused(path: Path, what: str, why: str, option: KeyPath) -> SettingsError:
    step = "correct the file, or the option that names it"
    return SettingsError(f"{what} {path} {why}", next_step=step, option=option)
