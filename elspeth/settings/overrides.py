"""Values that stand in place of one in the file, and which key they mean: `ELSPETH_SECTION__KEY`, `--set`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from elspeth.settings.check import keys_at
from elspeth.settings.document import scalar
from elspeth.settings.normalize import canonical
from elspeth.settings.problems import KeyPath

PREFIX = "ELSPETH_"
SEPARATOR = "__"


@dataclass(frozen=True, slots=True)
class Override:
    """A value that stands in place of one in the file. `keys` is where, not yet fitted to the document's spelling."""

    origin: str
    keys: tuple[str, ...]
    text: str
    variable: str | None = None


def as_text(value: object) -> str:
    """A value as `--set` has to be given it, so that a text stays a text and a number a number."""
    if not isinstance(value, str):
        return json.dumps(value, default=str)
    return value if scalar(value) == value and value[:1] not in ("'", '"') else json.dumps(value, ensure_ascii=False)


def in_environment(environ: Mapping[str, str]) -> list[Override]:
    """The overrides in the environment, in the order of their names. Names without `__` are not ours to judge."""
    found = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and SEPARATOR in name[len(PREFIX) :]:
            keys = tuple(name[len(PREFIX) :].lower().split(SEPARATOR))
            found.append(Override(f"variable {name}", keys, environ[name], name))
    return found


def variable_for(path: tuple[Any, ...]) -> str:
    """The name of the variable that overrides the key at this path."""
    return PREFIX + SEPARATOR.join(str(part) for part in path).upper()


def place(data: Any, keys: Sequence[str]) -> tuple[KeyPath, bool]:
    """The path in `data` that these keys mean, and whether there can be such a path.

    Case does not count. Items of a list go by index or by their name.
    """
    path: KeyPath = ()
    for key in keys:
        part: str | int | None = key or None
        if isinstance(data, dict):
            part = part and next((name for name in (*data, *keys_at(path)) if name.lower() == key.lower()), key)
            data = data.get(part)
        elif isinstance(data, list):
            part = _index(data, key)
            data = data[part] if part is not None else None
        elif data is not None:
            part = None
        if part is None:
            return (*path, key), False
        path = (*path, part)
    return canonical(path), True


def _index(items: Sequence[Any], key: str) -> int | None:
    if key.isascii() and key.isdigit():
        return int(key) if len(key) < 10 and int(key) < len(items) else None
    for index, item in enumerate(items):
        if isinstance(item, dict) and str(item.get("name", "")).lower() == key.lower():
            return index
    return None
