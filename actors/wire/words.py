"""The words between a far place and an agent: their kinds, and the values that some of them carry as JSON."""

from __future__ import annotations

import json
import signal
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from actors.events import ChildDown

VERSION = 1
"""Of all that stands in this room. Both sides must have the same."""

CHANNEL, OUTPUT, CONTENT, ARGUMENT = range(4)
"""Streams: bytes of the child's channel, either way; what it printed; of a file that goes along; of its argument."""

HELLO, FACTS, FILE, START, UP, STATUS, DOWN, LOST, REFUSED, BEAT = range(16, 26)
"""`Hello`, the first word to the agent, which answers with `Facts`; a `File` begins, whose content follows; the
argument is complete, start it (a `Start`); it began (an identity); `Status`; a `Down`; text: it cannot be had, as this
says, now, or ever; nothing but that there is somebody."""


@dataclass(frozen=True, slots=True)
class Hello:
    """What an agent is told first."""

    version: int
    facts: str
    lease_seconds: float
    beat_seconds: float
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is there on the node; `problem` where it cannot be found out."""

    version: int
    found: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""


@dataclass(frozen=True, slots=True)
class File:
    """A file that goes along: its path within the child's folder, its hash, its size in bytes."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class Start:
    """What of a child spec an agent needs, beside the argument."""

    name: str
    target: str
    shutdown_seconds: float
    hang_seconds: float | None
    memory_limit_bytes: int | None
    expendable: bool
    title: str


@dataclass(frozen=True, slots=True)
class Status:
    """How the child is: what it is touching, and where there, and how large it is."""

    position: int
    detail: int
    resident_bytes: int


@dataclass(frozen=True, slots=True)
class Down:
    """How it ended, in the words of `ChildDown`; the code is negative for a signal."""

    code: int
    reason: str
    position: int
    detail: int
    fork_server: int
    out_of_memory: bool
    group_limit_bytes: int | None

    @classmethod
    def of(cls, down: ChildDown) -> Down:
        """What an agent's supervisor told."""
        code = down.exit_code if down.signal is None else -signal.Signals[down.signal]
        return cls(
            code or 0, down.reason, down.position, down.detail, down.fork_server, down.out_of_memory,
            down.group_limit_bytes,
        )  # fmt: skip


def text_of(value: Any) -> bytes:
    """One of these values as it travels."""
    return json.dumps(asdict(value)).encode()


def value_of(text: bytes | memoryview) -> dict[str, Any]:
    """The fields of one of these values."""
    fields: dict[str, Any] = json.loads(bytes(text))
    return fields
