"""What becomes of children elsewhere when their agent, the link, or who asked for them is gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from actors import ChildDown, Identity
from actors.places.far.transport import Node
from tests.kit.places.far_family import QUICK, far, is_gone
from tests.kit.processes.waiting import wait_until


def assert_lost(down: ChildDown, words: str) -> None:
    assert (down.reason, down.refused) == ("place", False)
    assert words in down.lost


def test_an_agent_that_is_killed_takes_its_child_with_it_and_is_told_as_lost() -> None:
    with far() as family:
        identity = family.begin()
        folder = Path(family.ask("ping", "os.getcwd()"))
        os.kill(family.agent().pid, signal.SIGKILL)
        assert_lost(family.await_down(), "the node agent on node-1 (127.0.0.1) was killed by signal 9")
        wait_until(lambda: is_gone(identity), "the end of its child")
        wait_until(lambda: not folder.exists(), "the end of its folder")


def test_an_agent_that_does_not_move_any_more_is_lost_and_ended() -> None:
    with far(QUICK) as family:
        identity = family.begin()
        os.kill(family.agent().pid, signal.SIGSTOP)
        assert_lost(family.await_down(), "the node agent on node-1 (127.0.0.1) has not been heard of for 1.5 s")
        wait_until(lambda: is_gone(identity), "its end")


def test_deaths_of_one_node_have_a_cause_in_common() -> None:
    with far(QUICK) as family:
        for name in ("one", "two"):
            family.begin(name)
        children = list(family.place._children)
        for number in (0, 1):
            os.kill(family.agent(number).pid, signal.SIGKILL)
        for name in ("one", "two"):
            family.await_down(name)
        causes = [child.reap(None).cause for child in children]
        assert causes[0] == Node("node-1", "127.0.0.1")
        assert causes[0] is causes[1]


def test_a_link_that_is_cut_ends_both_sides_and_nothing_old_is_heard_when_it_is_back() -> None:
    with far(QUICK) as family:
        identity = family.begin(restart="permanent")
        agent = Identity.of(family.agent().pid)
        family.send("ping", b"beat_for", b"0")  # one answer more, so that it is known to be heard
        family.await_frames("ping", 2)
        family.transport.cut = True
        assert_lost(family.await_down(), "has not been heard of for 1.5 s")
        wait_until(lambda: is_gone(agent), "the agent ends itself: its lease is over")
        wait_until(lambda: is_gone(identity), "and its child")
        heard = len(family.frames("ping"))
        family.transport.cut = False
        os.kill(family.agent().pid, 0)  # the next one is there, and was never told anything
        family.supervisor.kill_child("ping", "to have one that was greeted").get()
        up = family.await_up("ping", 2)
        family.await_frames("ping", heard + 1)
        assert family.frames("ping")[heard:] == [[b"hello", b""]]
        assert up.identity != identity


def test_pieces_that_were_held_on_their_way_are_not_heard_by_the_next_incarnation() -> None:
    with far(QUICK) as family:
        family.begin()
        family.transport.held = True
        family.send("ping", b"ping", b"old")
        assert_lost(family.await_down(), "the node agent on node-1")
        family.transport.held = False
        family.supervisor.restart_child("ping").get()
        family.await_up("ping", 2)
        family.send("ping", b"ping", b"new")
        frames = family.await_frames("ping", 3)
        assert frames == [[b"hello", b""], [b"hello", b""], [b"pong", b"new"]]


@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGSTOP])
def test_an_agent_ends_with_its_head(blow: signal.Signals) -> None:
    head = subprocess.Popen(
        [sys.executable, "-m", "tests.kit.places.head"],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with head:
        assert head.stdout is not None
        identities = [Identity.of(int(pid)) for pid in head.stdout.readline().split()]
        head.send_signal(blow)
        for identity in identities:
            wait_until(lambda identity=identity: is_gone(identity), "the end of the agent and of its child")
        head.kill()
