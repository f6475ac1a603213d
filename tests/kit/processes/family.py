"""A supervisor with a listener that writes down what it is told, for tests that start real processes."""

from __future__ import annotations

import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import pykka

from actors import ChildDown, ChildSpec, ChildUp, FrameReceived, RestartIntensity, Supervisor, Tick
from tests.kit.processes.waiting import wait_until

T = TypeVar("T")
TARGET = "tests.kit.processes.ping:Ping"


def open_descriptors() -> int:
    """How many descriptors this process holds, without the files of /proc that a tick has open for a moment."""
    count = 0
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            count += not str(entry.readlink()).startswith("/proc/")
    return count


class Listener(pykka.ThreadingActor):
    """Appends what it is told to a list that the test looks at."""

    use_daemon_thread = True

    def __init__(self, told: list[Any]) -> None:
        super().__init__()
        self._told = told

    def hang(self) -> None:
        threading.Event().wait()

    def on_receive(self, message: Any) -> None:
        if not isinstance(message, Tick):
            self._told.append(message)


class Family:
    """A supervisor, what it told, what its children printed. Ends every child when the test is over.

    Its children are temporary unless a test says otherwise.
    """

    def __init__(self, intensity: RestartIntensity | None = None, **options: Any) -> None:
        self.told: list[Any] = []
        self.printed: list[tuple[str, str]] = []
        self.listener = Listener.start(self.told)
        options.setdefault("tick_seconds", 0.05)
        self.ref = Supervisor.start(
            self.listener,
            intensity or RestartIntensity(),
            lambda name, line: self.printed.append((name, line)),
            **options,
        )
        self.supervisor = self.ref.proxy()
        self.outbox = self.supervisor.outbox.get()

    def __enter__(self) -> Family:
        return self

    def __exit__(self, *_: object) -> None:
        self.supervisor.shutdown(0.0).get()
        self.ref.stop()
        self.listener.stop()

    def start(self, name: str = "ping", **fields: Any) -> int:
        """Start a ping actor, wait until it said hello, return its pid."""
        before = len(self.frames(name))
        fields.setdefault("target", TARGET)
        fields.setdefault("restart", "temporary")  # it stays as it is until the test says what next
        pid: int = self.supervisor.start_child(ChildSpec(name, **fields)).get().pid
        wait_until(lambda: len(self.frames(name)) > before or self.downs(name), what=f"{name} says hello")
        assert not self.downs(name), self.downs(name)
        return pid

    def send(self, name: str, *parts: bytes) -> None:
        self.outbox.send(name, *parts)

    def of(self, kind: type[T], name: str) -> list[T]:
        return [event for event in list(self.told) if isinstance(event, kind) and event.name == name]

    def frames(self, name: str) -> list[list[bytes]]:
        return [[bytes(part) for part in event.parts] for event in self.of(FrameReceived, name)]

    def ups(self, name: str) -> list[ChildUp]:
        return self.of(ChildUp, name)

    def downs(self, name: str) -> list[ChildDown]:
        return self.of(ChildDown, name)

    def await_frames(self, name: str, count: int) -> list[list[bytes]]:
        return wait_until(lambda: (got := self.frames(name))[count - 1 :] and got, what=f"{count} frames of {name}")

    def await_up(self, name: str, count: int) -> ChildUp:
        return wait_until(lambda: self.ups(name)[count - 1 :], what=f"start {count} of {name}")[0]

    def await_down(self, name: str = "ping", count: int = 1) -> ChildDown:
        return wait_until(lambda: self.downs(name)[count - 1 :], what=f"death {count} of {name}")[0]
