"""The journal of calls of a worker on another machine: kept by the main process, which answers when it has."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Event, Lock
from typing import Any

from actors.child import Port
from elspeth.coordinator.elsewhere import keeping as k


class _Question:
    """A question of a thread, until it is answered."""

    def __init__(self) -> None:
        self.answered = Event()
        self.answer: Any = None
        self.bodies: list[memoryview] = []


class Kept:
    """A journal's storage (`elspeth.calls.journal.storage.Storage`) with the main process. Used by many threads."""

    def __init__(self, folder: Path, port: Port) -> None:
        self.folder = folder
        self._port = port
        self._lock = Lock()
        self._number = 0
        self._files = 0
        self._open: dict[int, _Question] = {}
        self._others = port.at_once
        port.at_once = self._take

    def begin(self) -> KeptFile:
        """A new file: made there with its first entry."""
        self._files += 1
        return KeptFile(self, self._files)

    def news(self, read: Mapping[str, int]) -> list[tuple[str, bytes]]:
        """What others have written since. Raises `OSError`."""
        question = self._ask(lambda number: k.ReadJournals(number, dict(read)))
        return [(name, bytes(data)) for name, data in zip(question.answer.names, question.bodies, strict=True)]

    def remove(self, name: str) -> None:
        """Have it deleted."""
        self.say(k.DropEntries(name=name))

    def keep(self, file: int, data: bytes, *, durable: bool) -> None:
        """Have an entry written; returns when it is. Raises `OSError`."""
        self._ask(lambda number: k.KeepEntry(number, file, durable), data)

    def say(self, message: k.Keeping) -> None:
        """Say what needs no answer."""
        self._port.send(k.encode(message))

    def _ask(self, make: Callable[[int], k.Keeping], *bodies: bytes) -> _Question:
        question = _Question()
        with self._lock:
            self._number += 1
            number = self._number
            self._open[number] = question
        self._port.send(k.encode(make(number)), *bodies)
        question.answered.wait()
        if question.answer.refusal is not None:
            raise question.answer.refusal.error()
        return question

    def _take(self, parts: list[memoryview]) -> bool:
        if not k.is_keeping(parts[0]):
            return self._others(parts)
        answer = k.decode(parts[0])
        with self._lock:
            question = self._open.pop(answer.number)
        question.answer, question.bodies = answer, parts[1:]
        question.answered.set()
        return True


class KeptFile:
    """A file of ours, there. `size` are the bytes that are in it, as far as they were given by us."""

    def __init__(self, kept: Kept, number: int) -> None:
        self._kept = kept
        self._number = number
        self.size = 0

    def write(self, data: bytes, *, durable: bool) -> None:
        """Have it written: on record there when this returns. Raises `OSError`."""
        self.size += len(data)
        self._kept.keep(self._number, data, durable=durable)

    def remove(self) -> None:
        """Have it deleted."""
        self._kept.say(k.DropEntries(self._number))
