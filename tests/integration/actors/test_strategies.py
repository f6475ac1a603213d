"""Restart types and strategies, with real processes."""

from __future__ import annotations

import os
import signal
from typing import Any

import psutil
import pytest

from actors import ChildDown, ChildSpec, ChildUp, GaveUp, RestartIntensity, State
from actors.places.local import fork_server
from tests.kit.processes.family import TARGET, Family
from tests.kit.processes.waiting import wait_until


def lives(family: Family) -> list[tuple[str, str]]:
    """Starts and ends in their order."""
    kinds = {ChildUp: "up", ChildDown: "down"}
    return [(kinds[type(event)], event.name) for event in list(family.told) if type(event) in kinds]


def states(family: Family) -> dict[str, State]:
    return {child.name: child.state for child in family.supervisor.children().get()}


@pytest.mark.parametrize("end", [(b"die",), (b"fail",), (b"leave", b"0"), (b"leave", b"9")])
def test_a_permanent_child_is_up_again_whatever_it_ended_of(end: tuple[bytes, ...]) -> None:
    with Family() as family:
        family.start(restart="permanent", argument=b"the same")
        family.send("ping", *end)
        family.await_up("ping", 2)
        wait_until(lambda: family.frames("ping").count([b"hello", b"the same"]) == 2)
        assert len(family.downs("ping")) == 1


def test_permanent_is_what_a_child_is_that_says_nothing_else() -> None:
    with Family() as family:
        pid = family.supervisor.start_child(ChildSpec("ping", TARGET)).get().pid
        os.kill(pid, signal.SIGKILL)
        family.await_up("ping", 2)


def test_a_transient_child_is_up_again_after_a_failure_and_stays_down_when_it_is_done() -> None:
    with Family() as family:
        family.start(restart="transient")
        family.send("ping", b"fail")
        family.await_up("ping", 2)
        family.await_frames("ping", 2)
        family.send("ping", b"leave", b"0")
        family.await_down("ping", 2)
        family.start("later")  # whatever was to follow the end has followed when this was answered
        assert states(family)["ping"] is State.EXITED


def test_a_temporary_child_stays_down() -> None:
    with Family() as family:
        family.start(restart="temporary")
        family.send("ping", b"die")
        family.await_down()
        family.start("later")
        assert states(family)["ping"] is State.EXITED


def test_a_child_that_hangs_is_killed_and_up_again() -> None:
    with Family() as family:
        family.start(restart="permanent", hang_seconds=0.5)
        family.send("ping", b"spin")
        family.await_up("ping", 2)
        assert family.await_down().reason == "hang"


def test_a_child_killed_by_order_is_up_again_and_one_asked_to_stop_is_not() -> None:
    with Family() as family:
        family.start(restart="permanent")
        family.supervisor.kill_child("ping", "to see").get()
        family.await_up("ping", 2)
        family.await_frames("ping", 2)
        family.supervisor.stop_child("ping").get()
        family.await_down("ping", 2)
        family.start("later")
        assert states(family)["ping"] is State.EXITED
        assert family.supervisor.restart_child("ping").get() is True


def test_one_for_one_leaves_the_others_alone() -> None:
    with Family() as family:
        for name in ("one", "two", "three"):
            family.start(name, restart="permanent")
        family.send("two", b"die")
        family.await_up("two", 2)
        assert lives(family)[3:] == [("down", "two"), ("up", "two")]


def test_rest_for_one_stops_what_came_after_the_last_first_and_starts_it_in_order() -> None:
    with Family(strategy="rest_for_one") as family:
        for name in ("one", "two", "three", "four"):
            family.start(name, restart="permanent")
        family.send("three", b"ping", b"before the end")
        family.send("two", b"die")
        family.await_up("four", 2)
        assert lives(family)[4:] == [
            ("down", "two"), ("down", "four"), ("down", "three"), ("up", "two"), ("up", "three"), ("up", "four"),
        ]  # fmt: skip
        assert [family.downs(name)[0].exit_code for name in ("three", "four")] == [0, 0]  # asked, not killed
        assert family.frames("three")[1:3] == [[b"pong", b"before the end"], [b"bye"]]


def test_a_child_that_does_not_stop_for_its_elder_is_killed_and_up_again() -> None:
    with Family(RestartIntensity(1, 60.0), strategy="rest_for_one") as family:
        family.start("one", restart="permanent")
        family.start("two", restart="permanent", shutdown_seconds=0.2)
        family.send("two", b"spin")
        family.send("one", b"die")
        family.await_up("two", 2)
        assert family.downs("two")[0].reason == "killed:did not stop in 0.2 s"
        assert not family.of(GaveUp, "two")


def test_a_child_that_dies_while_it_is_being_stopped_costs_no_restart() -> None:
    with Family(RestartIntensity(1, 60.0), strategy="rest_for_one") as family:
        family.start("one", restart="permanent")
        pid = family.start("two", restart="permanent", shutdown_seconds=60.0)
        family.send("two", b"spin")
        family.send("one", b"die")
        wait_until(lambda: states(family)["two"] is State.STOPPING)
        os.kill(pid, signal.SIGKILL)
        family.await_up("two", 2)
        assert [down.reason for down in family.downs("two")] == ["signal"]
        assert not family.of(GaveUp, "two")


def test_a_child_that_keeps_dying_is_given_up() -> None:
    with Family(RestartIntensity(2, 60.0)) as family:
        family.start("other", restart="permanent")
        family.start(restart="permanent")
        for death in (1, 2, 3):
            family.await_frames("ping", 2 * death - 1)
            family.send("ping", b"die")
            family.await_down("ping", death)
        (gave_up,) = wait_until(lambda: family.of(GaveUp, "ping"))
        assert [down.incarnation for down in gave_up.exits] == [1, 2, 3]
        assert states(family) == {"other": State.RUNNING, "ping": State.GIVEN_UP}


def test_what_stood_on_a_child_that_is_given_up_is_stopped() -> None:
    with Family(RestartIntensity(0, 60.0), strategy="rest_for_one") as family:
        for name in ("one", "two", "three"):
            family.start(name, restart="permanent")
        family.send("two", b"die")
        family.await_down("three")
        assert states(family) == {"one": State.RUNNING, "two": State.GIVEN_UP, "three": State.EXITED}


def test_a_shutdown_overtakes_a_restart() -> None:
    with Family(strategy="rest_for_one") as family:
        family.start("one", restart="permanent")
        pid = family.start("two", restart="permanent", shutdown_seconds=60.0)
        os.kill(pid, signal.SIGSTOP)
        family.send("one", b"die")  # it is to come back when the other one is down
        family.await_down("one")
        family.supervisor.shutdown(0.2).get()
        assert not any(state.alive for state in states(family).values())
        assert lives(family) == [("up", "one"), ("up", "two"), ("down", "one"), ("down", "two")]


def test_all_who_die_with_the_fork_server_are_up_again_and_it_counts_once() -> None:
    with Family(RestartIntensity(1, 60.0)) as family:
        for name in ("one", "two", "three"):
            pid = family.start(name, restart="permanent")
        os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
        for name in ("one", "two", "three"):
            family.await_up(name, 2)
            assert family.downs(name)[0].reason == "fork_server"
        assert not [event for event in family.told if isinstance(event, GaveUp)]


@pytest.mark.parametrize("strategy", ["one_for_one", "rest_for_one"])
def test_a_restart_that_the_system_refuses_is_tried_again_and_given_up_in_the_end(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise OSError(11, "Resource temporarily unavailable")

    with Family(RestartIntensity(3, 60.0), strategy=strategy) as family:
        family.start(restart="permanent")
        monkeypatch.setattr(fork_server.ForkServer, "fork", refuse)
        family.send("ping", b"die")
        (gave_up,) = wait_until(lambda: family.of(GaveUp, "ping"))
        assert "could not be started (Resource temporarily unavailable)" in gave_up.reason
        assert states(family) == {"ping": State.GIVEN_UP}
