"""What a node says of itself, for tests."""

from __future__ import annotations


def facts() -> dict[str, str]:
    return {"shop": "1.4", "Python": "3"}
