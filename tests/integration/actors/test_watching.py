from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import psutil
import pykka
import pytest

from actors import ChildSpec, GaveUp, RestartIntensity, Supervisor, Tick
from tests.kit.processes.family import TARGET, Family
from tests.kit.processes.waiting import wait_until

HANG = 2.0  # seconds; a child starts well within it even on a busy machine


def test_a_child_in_an_endless_loop_is_killed_and_shows_where_it_was() -> None:
    with Family() as family:
        family.start(hang_seconds=HANG)
        family.send("ping", b"touch", b"42", b"3")
        family.send("ping", b"spin")
        down = family.await_down()
        assert (down.reason, down.signal) == ("hang", "SIGKILL")
        assert (down.position, down.detail) == (42, 3)
        assert " in spin" in down.output_tail


def test_a_stopped_child_with_something_to_do_is_killed() -> None:
    with Family() as family:
        pid = family.start(hang_seconds=HANG)
        os.kill(pid, signal.SIGSTOP)
        family.send("ping", b"ping")
        assert family.await_down().reason == "hang"


def test_a_silent_child_that_is_not_waiting_is_killed() -> None:
    with Family() as family:
        family.start(hang_seconds=HANG)
        family.send("ping", b"sleep")
        assert family.await_down().reason == "hang"


def test_a_waiting_child_that_burns_cpu_is_killed() -> None:
    with Family() as family:
        family.start(hang_seconds=HANG)
        family.send("ping", b"wait_and_spin")
        assert family.await_down().reason == "hang"


def test_a_waiting_child_that_is_stopped_is_killed() -> None:
    with Family() as family:
        pid = family.start(hang_seconds=HANG)
        family.send("ping", b"wait_for", b"3600")
        os.kill(pid, signal.SIGSTOP)
        assert family.await_down().reason == "hang"


@pytest.mark.parametrize(
    ("target", "argument"),
    [
        ("tests.kit.processes.ping:Stuck", b"sleep"),
        ("tests.kit.processes.ping:Stuck", b"spin"),
        ("tests.kit.processes.stuck_import:Never", b""),
    ],
)
def test_a_child_that_hangs_while_it_starts_is_killed_before_anything_was_sent_to_it(
    target: str, argument: bytes
) -> None:
    with Family() as family:
        spec = ChildSpec("stuck", target, argument, restart="temporary", hang_seconds=HANG)
        family.supervisor.start_child(spec).get()
        wait_until(lambda: family.downs("stuck"), what="stuck is given up")
        [down] = family.downs("stuck")
        assert (down.reason, down.signal) == ("hang", "SIGKILL")


@pytest.mark.parametrize("work", [b"beat_for", b"wait_for"])
def test_slow_is_not_dead(work: bytes) -> None:
    with Family() as family:
        family.start(hang_seconds=HANG)
        family.send("ping", work, b"3.5")
        assert family.await_frames("ping", 2)[1] == [b"done"]
        assert not family.downs("ping")


def test_a_child_with_nothing_to_do_is_left_alone() -> None:
    with Family() as family, Family() as clock:
        family.start(hang_seconds=HANG)
        family.send("ping", b"ping")
        family.await_frames("ping", 1)
        clock.start()
        clock.send("ping", b"wait_for", b"3.5")
        clock.await_frames("ping", 2)
        assert not family.downs("ping")


def test_a_child_over_its_memory_limit_ends_with_a_memory_error() -> None:
    with Family() as family:
        family.start(memory_limit_bytes=128 << 20)
        family.send("ping", b"take", b"200")
        down = family.await_down()
        assert (down.exit_code, down.reason) == (71, "memory")
        assert "MemoryError" in down.output_tail


def test_a_child_that_gets_round_the_limit_is_killed() -> None:
    with Family() as family:
        family.start(memory_limit_bytes=128 << 20)
        family.send("ping", b"take_shared", b"200")
        down = family.await_down()
        assert (down.signal, down.reason) == ("SIGKILL", "memory")


def test_an_expendable_child_is_what_the_kernel_takes_first() -> None:
    with Family() as family:
        pids = {flag: family.start(f"{flag}", expendable=flag) for flag in (True, False)}
        scores = {flag: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for flag, pid in pids.items()}
        assert scores[True] == 1000
        assert scores[False] < 1000


def test_a_child_that_closes_its_channel_but_lives_is_killed() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"hang_up")
        assert family.await_down().reason == "killed:closed its channel"


def test_a_child_that_writes_into_its_channel_by_mistake_is_killed() -> None:
    with Family() as family:
        family.start()
        family.send("ping", b"garble")
        assert family.await_down().reason.startswith("killed:garbled channel")


def test_a_listener_that_asks_for_ticks_gets_them() -> None:
    ticks: list[Tick] = []

    class Counting(pykka.ThreadingActor):
        use_daemon_thread = True

        def on_receive(self, message: Any) -> None:
            ticks.append(message)

    listener = Counting.start()
    ref = Supervisor.start(listener, RestartIntensity(), lambda *_: None, tick_seconds=0.01, send_ticks=True)
    wait_until(lambda: len(ticks) >= 3)
    ref.proxy().shutdown(1).get()
    ref.stop()
    listener.stop()
    assert [tick.number for tick in ticks[:3]] == [1, 2, 3]


def test_a_callback_that_raises_is_told_and_ends_in_order(caplog: pytest.LogCaptureFixture) -> None:
    def broken(*_: str) -> None:
        raise OSError("the log is full")

    with Family() as family:
        told = family.told
        ref = Supervisor.start(family.listener, RestartIntensity(), broken, tick_seconds=0.05)
        pid = ref.proxy().start_child(ChildSpec("printer", TARGET)).get().pid
        ref.proxy().outbox.get().send("printer", b"print", b"line\n")
        gave_up = wait_until(lambda: [event for event in told if isinstance(event, GaveUp)])[0]
        assert gave_up.reason == "OSError: the log is full"
        ref.proxy().shutdown(5).get()
        ref.stop()
        assert not psutil.pid_exists(pid)
    assert "the exchange failed" in caplog.text
