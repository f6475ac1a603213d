"""Sending, before any thread serves: what a child's end takes has left when `send` returns, and the rest waits."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import pytest

from actors.channel import FrameReader
from actors.link import Link
from actors.places.local.process import Process
from actors.reactor import Outbox, Reactor


@dataclass
class Peer:
    """A child that is nothing but the two ends of its channel."""

    sock: socket.socket
    theirs: socket.socket

    def arrived(self) -> list[bytes]:
        reader, found = FrameReader(self.theirs), []
        while (frame := reader.read()) is not None:
            found.append(b"".join(frame[1]))
        return found


@pytest.fixture
def peer() -> Iterator[Peer]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield Peer(ours, theirs)


@pytest.fixture
def reactor() -> Iterator[Reactor]:
    nobody = cast("Any", None)
    reactor = Reactor(nobody, nobody, lambda name, line: None, 1.0)
    yield reactor
    reactor.close()


def linked(reactor: Reactor, peer: Peer) -> Link:
    link = Link("child", 1, cast("Process", peer))
    reactor._lines["child"] = link
    return link


def test_what_the_child_takes_wakes_no_other_thread(reactor: Reactor, peer: Peer) -> None:
    link = linked(reactor, peer)
    for number in range(3):
        Outbox(reactor).send("child", b"row %d" % number)
    assert peer.arrived() == [b"row 0", b"row 1", b"row 2"]
    assert link.sent == 3
    assert not reactor._todo


def test_what_it_does_not_take_waits_and_nothing_overtakes_it(reactor: Reactor, peer: Peer) -> None:
    linked(reactor, peer)
    large = b"x" * (4 << 20)
    Outbox(reactor).send("child", large)
    Outbox(reactor).send("child", b"behind it")
    assert len(reactor._todo) == 2  # the thread goes on with it when the child's end takes more
    found: list[bytes] = []
    reader = FrameReader(peer.theirs)
    while len(found) < 2:
        with contextlib.suppress(BlockingIOError):
            reactor._lines["child"].outgoing.flush(peer.sock, socket.MSG_DONTWAIT)
        frame = reader.read()
        if frame is not None:
            found.append(b"".join(frame[1]))
    assert found == [large, b"behind it"]


def test_a_child_whose_end_is_closed_is_no_error_of_the_sender_s(reactor: Reactor, peer: Peer) -> None:
    linked(reactor, peer)
    peer.theirs.close()
    Outbox(reactor).send("child", b"too late")
    assert not reactor._todo
