"""Waiting for what must come: by looking, with a limit that only a test that has failed reaches."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 600.0
"""So long anything may take that a test waits for: a machine that does ten things at once is slow and not wrong."""


def wait_until(predicate: Callable[[], T], what: str = "", *, timeout: float = PATIENCE_SECONDS) -> T:
    """The predicate's first true value. Raises `AssertionError` after `timeout` seconds.

    The longer it takes the more seldom it looks, so that looking does not take the time of what is awaited.
    """
    start = time.monotonic()
    while not (value := predicate()):
        waited = time.monotonic() - start
        assert waited < timeout, f"not within {timeout} s: {what or predicate}"
        time.sleep(min(0.02, max(0.002, waited / 50)))
    return value


def no_process_in(group: int) -> bool:
    """Whether no process of the group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False
