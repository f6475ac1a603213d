"""What differs between two runs: settings key by key, counts, and reasons. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from elspeth.visible import shortened

MOST = 200
TEXT = 200


def flattened(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a JSON value, with its path."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from flattened(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list) and value:
        for place, item in enumerate(value):
            yield from flattened(item, f"{path}[{place}]")
    else:
        yield path, value


def differences(then: Any, now: Any) -> list[dict[str, Any]]:
    """The leaves that differ, at most `MOST`; a leaf that was not there is None."""
    before, after = dict(flattened(then)), dict(flattened(now))
    found = [
        {"key": key, "then": _short(before.get(key)), "now": _short(after.get(key))}
        for key in sorted({**before, **after})
        if before.get(key) != after.get(key)
    ]
    return found[:MOST]


def counts(then: Mapping[str, int], now: Mapping[str, int]) -> list[dict[str, Any]]:
    """Numbers by name that differ."""
    return [
        {"key": name, "then": then.get(name, 0), "now": now.get(name, 0)}
        for name in sorted({**then, **now})
        if then.get(name, 0) != now.get(name, 0)
    ][:MOST]


def _short(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return shortened(text, TEXT)
