"""Statements as both databases understand them, put into the words of PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

_TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|::|\?(\d*)|:([a-z_]\w*)")


@lru_cache(maxsize=1024)
def numbered(statement: str) -> tuple[str, tuple[str, ...]]:
    """The statement with `$1` where it has `?`, `?1` or `:name`, and the names in the order of their numbers."""
    names: dict[str, int] = {}
    count = 0

    def place(found: re.Match[str]) -> str:
        nonlocal count
        if found.group(2):
            return f"${names.setdefault(found.group(2), len(names) + 1)}"
        if found.group(1) is None:
            return found.group()
        count = int(found.group(1)) if found.group(1) else count + 1
        return f"${count}"

    return _TOKEN.sub(place, statement), tuple(names)


def bound(names: tuple[str, ...], values: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
    """The values in the order of their numbers."""
    if isinstance(values, Mapping):
        return [values[name] for name in names]
    return values
