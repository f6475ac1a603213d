"""What is left of an earlier attempt is ended, as far as it is ours to end; first those that stand still."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator

import pytest

from actors.identity import Identity
from elspeth.coordinator.attempt.leftovers import bury, bury_stopped
from tests.kit.processes.tree import state_of
from tests.kit.processes.waiting import wait_until


@pytest.fixture
def sleepers() -> Iterator[list[subprocess.Popen[bytes]]]:
    begun = [subprocess.Popen(["sleep", "600"]) for _ in range(2)]
    yield begun
    for process in begun:
        process.kill()
        process.wait()


def test_of_what_stands_still_and_what_works_the_first_is_ended_first(sleepers: list[subprocess.Popen[bytes]]) -> None:
    stopped, working = sleepers
    os.kill(stopped.pid, signal.SIGSTOP)
    wait_until(lambda: state_of(stopped.pid) == "T")
    leftovers = [Identity.of(process.pid) for process in sleepers]
    assert bury_stopped(leftovers) == [stopped.pid]
    assert working.poll() is None
    assert stopped.wait() == -signal.SIGKILL
    assert bury(leftovers) == [working.pid]
    assert bury(leftovers) == []


def test_who_is_not_ours_to_end_is_left(
    sleepers: list[subprocess.Popen[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError("not yours")

    monkeypatch.setattr(signal, "pidfd_send_signal", refuse)
    assert bury([Identity.of(process.pid) for process in sleepers]) == []
