"""What the supervisor concludes from one look after the other at a child; the process is a stand-in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from actors.heartbeat import BEAT, BUSY, TAKEN, WAITING
from actors.lifecycle import State
from actors.places.local.health import BURNING, DEAF_SECONDS, HealthCheck
from actors.procfs import CLOCK_TICKS, Stat
from actors.spec import ChildSpec

TICK = 0.5
LIMIT = 64 << 20
ASLEEP = Stat("S", 0, 1, LIMIT)
ALIVE = [State.STARTING, State.RUNNING, State.STOPPING]


@dataclass
class Page:
    """The page that a child shares: what it says about itself."""

    words: list[int] = field(default_factory=lambda: [0] * 7)

    def progress(self) -> tuple[int, int]:
        return self.words[BEAT], self.words[TAKEN]


@dataclass
class Process:
    """A process as `HealthCheck` sees it."""

    heartbeat_page: Page = field(default_factory=Page)
    found: Stat | None = ASLEEP
    asked: int = 0

    def stat(self) -> Stat | None:
        return self.found

    def ask_for_stack(self) -> None:
        self.asked += 1

    def burn(self, seconds: float) -> None:
        assert self.found is not None
        self.found = self.found._replace(cpu_ticks=self.found.cpu_ticks + round(seconds * CLOCK_TICKS))


@dataclass
class Line:
    """The channel to it."""

    process: Process = field(default_factory=Process)
    open: bool = True
    sent: int = 0


def watched(line: Line, **options: Any) -> HealthCheck:
    return HealthCheck(ChildSpec("child", "module:Class", **options), line.process, line, TICK)  # type: ignore[arg-type]


def looks(check: HealthCheck, state: State, count: int) -> list[str | None]:
    return [check.look(state) for _ in range(count)]


@pytest.mark.parametrize("said_busy", [False, True])
def test_a_child_that_hangs_while_it_starts_is_killed_whether_or_not_it_came_to_say_that_it_is_busy(
    said_busy: bool,
) -> None:
    line = Line()
    line.process.heartbeat_page.words[BUSY] = said_busy
    assert looks(watched(line, hang_seconds=1.5), State.STARTING, 4) == [None, None, None, "hang"]
    assert line.process.asked == 0  # it cannot answer yet


def test_a_running_child_that_is_busy_and_silent_is_asked_for_its_stack_and_killed() -> None:
    line = Line()
    line.process.heartbeat_page.words[BUSY] = 1
    check = watched(line, hang_seconds=1.5)
    assert looks(check, State.RUNNING, 3) == [None, None, None]
    assert line.process.asked == 1
    assert check.look(State.RUNNING) == "hang"


def test_a_running_child_that_took_everything_and_is_not_busy_is_left_alone() -> None:
    line = Line(sent=3)
    line.process.heartbeat_page.words[TAKEN] = 3
    assert set(looks(watched(line, hang_seconds=1.5), State.RUNNING, 20)) == {None}
    line.sent = 4
    assert looks(watched(line, hang_seconds=1.5), State.RUNNING, 4)[-1] == "hang"


def test_a_child_that_waits_for_the_world_is_left_alone_unless_it_is_stopped_or_burns() -> None:
    line = Line()
    words = line.process.heartbeat_page.words
    words[BUSY] = words[WAITING] = 1
    check = watched(line, hang_seconds=1.5)
    assert set(looks(check, State.RUNNING, 20)) == {None}
    assert line.process.found is not None
    line.process.found = line.process.found._replace(state="T")
    assert looks(check, State.RUNNING, 3)[-1] == "hang"
    line.process.found = line.process.found._replace(state="S")
    check = watched(line, hang_seconds=1.5)
    found: list[str | None] = []
    for _ in range(4):
        line.process.burn(TICK * BURNING)
        found.append(check.look(State.RUNNING))
    assert found[-1] == "hang"


def test_without_a_time_for_it_nobody_hangs() -> None:
    line = Line()
    line.process.heartbeat_page.words[BUSY] = 1
    assert set(looks(watched(line, hang_seconds=None), State.RUNNING, 50)) == {None}


@pytest.mark.parametrize("state", ALIVE)
def test_a_child_over_its_memory_limit_is_killed_and_one_at_it_is_not(state: State) -> None:
    line = Line()
    check = watched(line, memory_limit_bytes=LIMIT, hang_seconds=None)
    assert (check.look(state), check.resident_bytes) == (None, LIMIT)
    assert line.process.found is not None
    line.process.found = line.process.found._replace(resident_bytes=LIMIT + 1)
    assert (check.look(state), check.resident_bytes) == ("memory", LIMIT + 1)


def test_a_child_without_a_channel_is_given_time_to_end() -> None:
    line = Line(open=False)
    check = watched(line, hang_seconds=None)
    patient = int(DEAF_SECONDS / TICK)
    assert looks(check, State.RUNNING, patient + 1) == [*[None] * patient, "killed:closed its channel"]


def test_a_child_that_was_asked_to_stop_has_its_time_and_no_more() -> None:
    line = Line()
    line.process.heartbeat_page.words[BUSY] = 1
    check = watched(line, shutdown_seconds=1.0, hang_seconds=0.5)
    check.expect_end()
    assert looks(check, State.STOPPING, 3) == [None, None, "killed:did not stop in 1 s"]


def test_one_that_ended_or_is_killed_already_is_not_killed_again() -> None:
    line = Line(open=False)
    check = watched(line, memory_limit_bytes=LIMIT // 2)
    assert set(looks(check, State.KILLED, 20)) == {None}
    line.process.found = None
    assert set(looks(check, State.RUNNING, 20)) == {None}
