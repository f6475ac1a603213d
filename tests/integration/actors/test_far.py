"""Children beside agents: what a local child does, they do."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from actors.node_agent.folder import PREFIX
from actors.places.far.terms import Terms
from tests.kit.places.far_family import far, is_gone
from tests.kit.processes.family import open_descriptors
from tests.kit.processes.waiting import wait_until

# --- what local children do ---------------------------------------------------------------------------------------


def test_a_far_child_answers_says_where_it_is_and_ends_in_order() -> None:
    with far(names=("east",)) as family:
        family.begin(argument=b"x" * 200_000)
        assert family.ups("ping")[0].where == "east (127.0.0.1)"
        assert family.frames("ping") == [[b"hello", b"x" * 200_000]]
        family.send("ping", b"ping", b"", b"1")
        assert family.await_frames("ping", 2)[1] == [b"pong", b"", b"1"]
        family.send("ping", b"print", b"one\ntwo")
        family.supervisor.stop_child("ping")
        down = family.await_down()
        assert (down.exit_code, down.reason, down.where, down.lost) == (0, "exited", "east (127.0.0.1)", "")
        assert down.output_tail == "one\ntwo"
        assert family.frames("ping")[-1] == [b"bye"]


def test_the_agent_is_another_process_and_its_child_works_in_a_folder_of_its_own() -> None:
    with far() as family:
        identity = family.begin()
        assert family.ask("ping", "os.getpid()") == identity.pid
        folder = Path(family.ask("ping", "os.getcwd()"))
        assert folder.name.startswith(PREFIX)
        assert folder.stat().st_mode & 0o777 == 0o700


def test_ten_thousand_small_frames_come_in_order_however_they_travel() -> None:
    with far(seed=1) as family:
        family.begin()
        for number in range(10_000):
            family.send("ping", b"ping", b"%d" % number)
        wait_until(lambda: len(family.told) >= 10_002, "all answers")
        assert [frame[1] for frame in family.frames("ping")[1:]] == [b"%d" % number for number in range(10_000)]


@pytest.mark.parametrize("seed", [None, 2])
def test_a_large_frame_gets_there_and_back(seed: int | None) -> None:
    large = os.urandom(1 << 20) * 50
    with far(seed=seed) as family:
        family.begin()
        family.send("ping", b"ping", large, b"end")
        assert family.await_frames("ping", 2)[1] == [b"pong", large, b"end"]


def test_a_killed_child_is_told_with_its_signal_what_it_touched_and_said_last() -> None:
    with far() as family:
        identity = family.begin()
        family.send("ping", b"touch", b"42", b"3")
        family.send("ping", b"print", b"last line\n")
        family.send("ping", b"die")
        down = family.await_down()
        assert (down.signal, down.reason, down.lost, down.identity) == ("SIGKILL", "signal", "", identity)
        assert (down.position, down.detail) == (42, 3)
        assert family.frames("ping")[-1] == [b"last words"]


def test_an_exception_comes_with_its_traceback() -> None:
    with far() as family:
        family.begin()
        family.send("ping", b"fail")
        down = family.await_down()
        assert (down.exit_code, down.reason) == (70, "exited")
        assert "RuntimeError: asked to fail" in down.output_tail


def test_a_hang_is_found_by_the_agent_which_has_its_stack() -> None:
    with far() as family:
        family.begin(hang_seconds=2.0)
        family.send("ping", b"spin")
        down = family.await_down()
        assert (down.reason, down.signal) == ("hang", "SIGKILL")
        assert " in spin" in down.output_tail


def test_a_child_over_its_memory_limit_is_told_as_that() -> None:
    with far() as family:
        family.begin(memory_limit_bytes=128 << 20)
        family.send("ping", b"take", b"200")
        down = family.await_down()
        assert (down.exit_code, down.reason) == (71, "memory")


def test_what_a_child_touches_and_how_large_it_is_can_be_seen_from_here() -> None:
    with far(Terms(unreachable_seconds=600.0, beat_seconds=0.25)) as family:
        family.begin()
        family.send("ping", b"touch", b"7", b"8")
        info = wait_until(
            lambda: [c for c in family.supervisor.children().get() if c.position == 7 and c.resident_bytes > 1 << 20],
            "its position and size",
        )[0]
        assert info.detail == 8


def test_a_child_that_does_not_stop_in_time_is_killed_over_there() -> None:
    with far() as family:
        identity = family.begin(shutdown_seconds=0.5)
        family.send("ping", b"sleep")
        family.supervisor.stop_child("ping")
        down = family.await_down()
        assert (down.signal, down.reason) == ("SIGKILL", "killed:did not stop in 0.5 s")
        wait_until(lambda: is_gone(identity), "its end")


def test_a_child_that_is_killed_from_here_is_down_at_once_and_then_dead() -> None:
    with far() as family:
        identity = family.begin()
        os.kill(family.agent().pid, signal.SIGSTOP)  # nobody there can do anything about it
        family.supervisor.kill_child("ping", "tired of it").get()
        down = family.await_down()
        assert (down.signal, down.reason) == ("SIGKILL", "killed:tired of it")
        wait_until(lambda: is_gone(identity), "its end")


def test_a_permanent_child_is_started_again_elsewhere() -> None:
    with far(names=("east", "west")) as family:
        family.begin(restart="permanent")
        family.send("ping", b"die")
        assert family.await_up("ping", 2).incarnation == 2
        family.send("ping", b"ping")
        wait_until(lambda: family.frames("ping")[-1] == [b"pong"], "its answer")


def test_nothing_is_held_any_more_when_all_is_over() -> None:
    with far() as family:
        family.begin()
    before, threads = open_descriptors(), threading.active_count()
    with far() as family:
        for number in range(5):
            family.begin(f"ping-{number}")
        family.send("ping-0", b"die")
        family.await_down("ping-0")
        os.kill(family.agent(1).pid, signal.SIGKILL)
        family.await_down("ping-1")
    wait_until(lambda: open_descriptors() <= before, "as many descriptors as before")
    wait_until(lambda: threading.active_count() <= threads, "as many threads as before")


# --- memory -------------------------------------------------------------------------------------------------------


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def at_rest(value: Callable[[], int]) -> int:
    """A value that has not changed for some looks and is not 0."""
    seen: list[int] = []

    def look() -> int:
        seen.append(value())
        return seen[-1] if len(seen) > 30 and len(set(seen[-30:])) == 1 else 0

    return wait_until(look, "it stays as it is")


def test_an_agent_does_not_take_more_than_its_child_does() -> None:
    with far() as family:
        pid = family.begin(hang_seconds=None).pid
        agent = family.agent().pid
        before = resident_bytes(agent)
        os.kill(pid, signal.SIGSTOP)
        child = family.place._children[0]
        for _ in range(100):
            family.send("ping", b"ping", bytes(1 << 20))
        assert at_rest(lambda: child.conversation._sent) < 30 << 20
        assert resident_bytes(agent) - before < 40 << 20
        os.kill(pid, signal.SIGCONT)
        wait_until(lambda: len(family.told) >= 102, "all answers")


def test_a_child_that_says_more_than_the_link_takes_waits() -> None:
    with far() as family:
        pid = family.begin(hang_seconds=None).pid
        agent = family.agent().pid
        before = resident_bytes(agent)
        family.send("ping", b"pour", b"300")
        family.await_frames("ping", 2)
        family.transport.held = True
        first = len(family.frames("ping"))
        poured = Path(f"/proc/{pid}/cwd/poured")
        assert at_rest(lambda: int(poured.read_text() or 0)) - first < 60
        assert resident_bytes(agent) - before < 80 << 20
        family.transport.held = False
        wait_until(lambda: len(family.told) >= 302, "all that it says")
