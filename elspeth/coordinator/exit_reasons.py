"""A child's death, or that it never lived, in words, for people and for the record. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.events import ChildDown
from elspeth.coordinator.evidence import Evidence
from elspeth.coordinator.names import SOURCE
from elspeth.errors import Temporary

_TAIL_LINES = 5


def describe(down: ChildDown, hang_seconds: float | None) -> str:
    """How it died; names the setting whose limit it went over."""
    if down.reason == "hang":
        return f"hung: no progress for supervisor.hang_timeout_seconds ({hang_seconds:g} s)"
    if down.reason == "memory":
        return "memory: over supervisor.worker_memory_limit_mb"
    if down.reason == "fork_server":
        return f"{down.signal}: so died the process that children are forked from, and all of them with it"
    return down.signal or f"exit code {down.exit_code}"


def evidence(down: ChildDown, hang_seconds: float | None) -> Evidence:
    """What speaks against the item that it was touching."""
    reason = describe(down, hang_seconds)
    return Evidence(reason=reason, detail=down.detail, signal=down.signal, exit_code=down.exit_code)


def detail(down: ChildDown) -> dict[str, Any]:
    """How it ended, for the record; `position` is the row or the item it was touching."""
    facts = {"reason": down.reason, "exit_code": down.exit_code, "signal": down.signal}
    return facts | {"position": down.position} if down.position >= 0 and down.name != SOURCE else facts


def last_exits(exits: Sequence[ChildDown], hang_seconds: float | None) -> list[str]:
    """One line for each death that counted."""
    return [f"{down.name} (pid {down.identity.pid}): {describe(down, hang_seconds)}" for down in exits]


def last_words(exits: Sequence[ChildDown]) -> list[str]:
    """The end of what the last one printed."""
    return exits[-1].output_tail.strip().splitlines()[-_TAIL_LINES:] if exits else []


def not_started(child: str, error: OSError) -> Temporary:
    """A child that never lived, because the system or the fork server refused."""
    room = "the system has no room for another process, or no memory or descriptors for it"
    return Temporary(
        f"{child} could not be started: {error.strerror or error}", details=[room] if error.errno is not None else []
    )
