"""A worker's journal storage with a keeper, in one process: what the one says the other hears at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from actors.events import ChildDown, FrameReceived
from actors.identity import Identity
from elspeth.coordinator.elsewhere.keeper import Keeper, Stores
from elspeth.roles.elsewhere.journal import Kept


class Wire:
    """The port of a child, as far as the keeper and what is kept use it."""

    def __init__(self, head: Head, name: str, incarnation: int) -> None:
        self._head, self.name, self.incarnation = head, name, incarnation
        self.at_once: Any = lambda parts: False

    def send(self, *parts: bytes) -> None:
        views = [memoryview(bytes(part)) for part in parts]
        self._head.keeper.tell(FrameReceived(self.name, self.incarnation, views))


class Head:
    """A keeper, its coordinator, and the wires to children."""

    def __init__(self, payloads: Path, journals: Path, attempt: int) -> None:
        self.told: list[Any] = []
        self.tell = self.told.append
        self.keeper = Keeper(Stores(payloads, journals, attempt), self)  # type: ignore[arg-type]
        self.keeper.connect(self)  # type: ignore[arg-type]
        self._wires: dict[str, Wire] = {}
        self._lock = threading.Lock()

    def send(self, name: str, *parts: bytes, incarnation: int) -> None:
        wire = self._wires[name]
        if wire.incarnation == incarnation:
            assert wire.at_once([memoryview(part) for part in parts])

    def wire(self, name: str) -> Wire:
        """The wire to a new child of this name; one that was there before is dead."""
        before = self._wires.get(name)
        if before is not None:
            gone = Identity(1, 0.0, "", "", "")
            down = ChildDown(name, gone, before.incarnation, None, "SIGKILL", "signal", -1, 0, "")
            self.keeper.tell(down)
        self._wires[name] = Wire(self, name, before.incarnation + 1 if before else 1)
        return self._wires[name]


@contextmanager
def head(payloads: Path, journals: Path, attempt: int = 1) -> Iterator[Head]:
    """A keeper that is closed at the end."""
    there = Head(payloads, journals, attempt)
    try:
        yield there
    finally:
        there.keeper.close()


def kept(there: Head, journals: Path, child: str) -> Kept:
    """The storage of a new child of this name."""
    return Kept(journals, there.wire(child))  # type: ignore[arg-type]
