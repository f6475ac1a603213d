"""How children are stopped, with the clock of the test: who waits for whom, and who is killed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from actors import ChildDown, ChildSpec, RestartIntensity, Supervisor
from actors import supervisor as module
from actors.lifecycle import Event
from actors.link import Link
from actors.places.far.child import NOBODY
from actors.places.place import Ending
from actors.supervised import Supervised

FAR = ChildSpec("far", "shop:Shop", shutdown_seconds=1.0, place="far")
HERE = ChildSpec("here", "shop:Shop", shutdown_seconds=1.0)


class Clock:
    """Seconds that pass where somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now


class Process:
    """Ends so many seconds after it was asked to."""

    sock = output = None
    begun, identity, where, resident_bytes = True, NOBODY, "", 0

    def __init__(self, clock: Clock, takes: float) -> None:
        self.clock, self.takes, self.ends = clock, takes, float("inf")
        self.asked = float("inf")

    def ask(self) -> None:
        self.asked = self.clock.now
        self.ends = self.clock.now + self.takes

    def wait(self, seconds: float) -> bool:
        """In the place of the event that it has ended."""
        self.clock.now = min(self.clock.now + seconds, max(self.clock.now, self.ends))
        return self.ends <= self.clock.now

    def health(self, *_: object) -> Process:
        return self

    def kill(self) -> None:
        self.ends = self.clock.now

    def reap(self, ordered: str | None) -> Ending:
        return Ending(0, ordered or "exited")

    def expect_end(self) -> None: ...
    def beat(self, ticks: int) -> None: ...
    def close(self) -> None: ...


class Tree:
    """Children by their specs and what each takes to stop, in the order of their start, and how they ended."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, children: list[tuple[ChildSpec, float]]) -> None:
        self.clock, self.ends = Clock(), {}
        self.processes: dict[str, Process] = {}
        monkeypatch.setattr(module, "time", self.clock)
        supervisor = Supervisor(cast("Any", SimpleNamespace(tell=self._told)), RestartIntensity(), print)
        supervisor._reactor.close()
        reactor: Any = SimpleNamespace(
            is_alive=lambda: True, close=lambda: None, send_kind=lambda link, _: link.process.ask()
        )
        supervisor._reactor = reactor
        for spec, takes in children:
            process = self.processes[spec.name] = Process(self.clock, takes)
            link = Link(spec.name, 1, cast("Any", process))
            link.ended = cast("Any", process)
            child = supervisor._children[spec.name] = Supervised(spec, link, 0.25)
            child.take(Event.READY)
            child.watched = True
        self.shutdown: Callable[[float], None] = supervisor.shutdown

    def _told(self, message: Any) -> None:
        if isinstance(message, ChildDown):
            self.ends[message.name] = message.reason


def many(spec: ChildSpec, count: int, takes: float) -> list[tuple[ChildSpec, float]]:
    return [(replace(spec, name=f"{spec.name}-{number}"), takes) for number in range(count)]


def test_children_elsewhere_are_stopped_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(monkeypatch, many(FAR, 100, 0.8))
    tree.shutdown(2.4)
    assert set(tree.ends.values()) == {"exited"}
    assert tree.clock.now == pytest.approx(0.8)


def test_one_of_them_that_hangs_takes_no_time_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    hanging = many(replace(FAR, name="hanging"), 50, 1000.0)
    tree = Tree(monkeypatch, [(HERE, 0.1), *hanging, *many(FAR, 50, 0.9)])
    tree.shutdown(2.4)
    late = {name for name, reason in tree.ends.items() if reason == "killed:did not stop in 1 s"}
    assert late == {spec.name for spec, _ in hanging}
    assert tree.ends["here"] == "exited"
    assert tree.clock.now == pytest.approx(1.1)


def test_none_has_more_than_the_time_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(monkeypatch, many(FAR, 3, 0.8))
    tree.shutdown(0.5)
    assert set(tree.ends.values()) == {"killed:did not stop in 1 s"}
    assert tree.clock.now == pytest.approx(0.5)


def test_each_of_them_has_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    quick, slow = replace(FAR, name="quick", shutdown_seconds=0.2), replace(FAR, name="slow", shutdown_seconds=2.0)
    tree = Tree(monkeypatch, [(quick, 0.5), (slow, 1.5)])
    tree.shutdown(5.0)
    assert tree.ends == {"quick": "killed:did not stop in 0.2 s", "slow": "exited"}


def test_children_here_are_stopped_one_by_one_the_last_started_first(monkeypatch: pytest.MonkeyPatch) -> None:
    sinks, source = replace(HERE, name="sinks"), replace(HERE, name="source")
    tree = Tree(monkeypatch, [(sinks, 0.3), *many(FAR, 2, 0.4), (source, 0.2)])
    tree.shutdown(5.0)
    asked = {name: pytest.approx(process.asked) for name, process in tree.processes.items()}
    assert asked == {"source": 0.0, "far-0": 0.2, "far-1": 0.2, "sinks": 0.6}
    first, *_, last = tree.ends
    assert (first, last) == ("source", "sinks")
