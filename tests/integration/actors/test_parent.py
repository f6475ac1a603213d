from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from actors import Identity
from tests.kit.processes.waiting import wait_until

ROOT = Path(__file__).parents[3]


@contextmanager
def main_process(watchdog: float, *how: str) -> Iterator[tuple[subprocess.Popen[str], list[Identity]]]:
    """A main process with three children, and what they are forked from; what is left of it is killed at the end."""
    command = [sys.executable, "-m", "tests.kit.processes.parent", str(watchdog), *how]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as main:
        assert main.stdout is not None
        children = [Identity.of(int(pid)) for pid in main.stdout.readline().split()]
        assert len(children) == 3
        children.append(Identity.of(psutil.Process(children[0].pid).ppid()))
        assert children[3].pid != main.pid
        try:
            yield main, children
        finally:
            main.kill()
            for child in children:
                child.kill()


def gone(children: list[Identity]) -> bool:
    return all(child.state() == "gone" for child in children)


def test_children_of_a_killed_main_process_are_gone_within_two_seconds() -> None:
    with main_process(0) as (main, children):
        wait_until(lambda: [child.state() for child in children] == ["alive", "alive", "stopped", "alive"])
        main.kill()
        main.wait()
        wait_until(lambda: gone(children))


def test_a_main_process_that_stops_beating_is_killed_by_its_children() -> None:
    with main_process(2) as (main, children):
        main.send_signal(signal.SIGSTOP)
        assert main.wait(20) == -signal.SIGKILL
        wait_until(lambda: gone(children))


def test_a_listener_that_hangs_is_a_main_process_that_hangs() -> None:
    with main_process(2, "deaf") as (main, children):
        assert main.wait(20) == -signal.SIGKILL
        wait_until(lambda: gone(children))


def test_a_pause_that_ends_in_time_is_no_hang() -> None:
    with main_process(4) as (main, children):
        main.send_signal(signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 1.5)
        main.send_signal(signal.SIGCONT)
        wait_until(lambda: time.monotonic() > began + 6.5)
        assert main.poll() is None
        assert [child.state() for child in children] == ["alive", "alive", "stopped", "alive"]


def test_a_pause_of_the_whole_tree_is_one_tick_for_everybody() -> None:
    with main_process(2) as (main, children):
        pids = [main.pid, children[0].pid, children[1].pid, children[3].pid]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        wait_until(lambda: time.monotonic() > began + 4)
        for pid in reversed(pids):
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: time.monotonic() > began + 6)
        assert main.poll() is None
        assert not [child for child in children if child.state() == "gone"]
