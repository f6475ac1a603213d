"""Roles of a run in this process: what they are told, and what they say."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import Any

from elspeth.concealment import NOTHING
from elspeth.coordinator import protocol as m
from elspeth.roles.plan import Plan, encode_plan


class Port:
    """What is said to the parent; `places` are what is said to be touched."""

    def __init__(self) -> None:
        self.said: list[tuple[Any, list[bytes]]] = []
        self.places: list[tuple[int, int]] = []
        self.beats = 0
        self.at_once: Callable[[Any], bool] = lambda parts: False

    def beat(self) -> None:
        self.beats += 1

    def at(self, place: int, detail: int = 0) -> None:
        self.places.append((place, detail))

    def waiting(self, _flag: bool) -> None:
        pass

    def send(self, *parts: bytes) -> None:
        self.said.append((m.decode(parts[0]), [bytes(part) for part in parts[1:]]))

    def take(self) -> list[tuple[Any, list[bytes]]]:
        found, self.said = self.said, []
        return found


def role_of(cls: Any, plan: Plan) -> tuple[Any, Port]:
    """A role that has yet to begin, and what it says."""
    role, port = cls.__new__(cls), Port()
    role.argument, role.port, role.concealment = encode_plan(plan), port, NOTHING
    role.failed, role.busy, role.waits = False, False, queue.SimpleQueue()
    role.later = role.waits.put
    return role, port
