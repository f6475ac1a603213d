from __future__ import annotations

import os
import signal

import pytest

from actors.heartbeat import PARENT_BEAT
from actors.places.local import child_main
from actors.places.local.child_main import Watchdog
from actors.places.local.heartbeat import HeartbeatPage

PARENT, START = 4242, 99


class Ended(Exception):
    """Stands for the end of the process."""


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    blows: list[tuple[int, int]] = []

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(os, "kill", lambda pid, number: blows.append((pid, number)))
    monkeypatch.setattr(os, "_exit", end)
    monkeypatch.setattr(child_main, "start_ticks", lambda pid: {PARENT: START}.get(pid))
    return blows


@pytest.fixture
def heartbeat_page() -> HeartbeatPage:
    page, fd = HeartbeatPage.create()
    os.close(fd)
    return page


def test_a_parent_that_does_not_move_is_killed_after_its_seconds(
    heartbeat_page: HeartbeatPage, killed: list[tuple[int, int]]
) -> None:
    watchdog = Watchdog(heartbeat_page, PARENT, START, 3)
    for second in range(3):
        watchdog.look(float(second))
    assert not killed
    with pytest.raises(Ended):
        watchdog.look(3.0)
    assert killed == [(PARENT, signal.SIGKILL)]


def test_looks_within_a_second_and_late_ones_are_one(
    heartbeat_page: HeartbeatPage, killed: list[tuple[int, int]]
) -> None:
    watchdog = Watchdog(heartbeat_page, PARENT, START, 3)
    for tenth in range(20):
        watchdog.look(tenth / 10)
    watchdog.look(5000.0)
    assert not killed


def test_any_beat_starts_the_count_anew(heartbeat_page: HeartbeatPage, killed: list[tuple[int, int]]) -> None:
    watchdog = Watchdog(heartbeat_page, PARENT, START, 3)
    for second in range(100):
        if second % 3 == 0:
            heartbeat_page.words[PARENT_BEAT] += 1
        watchdog.look(float(second))
    assert not killed


def test_whoever_got_the_parents_pid_since_is_left_alone(
    heartbeat_page: HeartbeatPage, killed: list[tuple[int, int]]
) -> None:
    watchdog = Watchdog(heartbeat_page, PARENT, START - 1, 1)
    watchdog.look(0.0)
    with pytest.raises(Ended):
        watchdog.look(1.0)
    assert not killed


def test_without_seconds_there_is_no_watchdog(heartbeat_page: HeartbeatPage, killed: list[tuple[int, int]]) -> None:
    watchdog = Watchdog(heartbeat_page, PARENT, START, 0)
    for second in range(1000):
        watchdog.look(float(second))
    assert not killed
