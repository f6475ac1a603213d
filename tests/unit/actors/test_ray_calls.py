"""How many calls of Ray it takes to tell an agent something and to hear its answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from actors.places.far.transport import Node
from actors.places.ray.on_node import joined, parted
from actors.places.ray.transport import TAKES, RayAgent, RayTransport
from actors.wire.conversation import PIECE_BYTES
from tests.kit.processes.waiting import wait_until


class Call:
    """A call of the actor that is under way."""

    def __init__(self, pieces: tuple[bytes, ...]) -> None:
        self.pieces = pieces
        self.answer: Callable[[Any], None] = lambda _: None


class Method:
    """A method of the actor: its calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    def remote(self, *pieces: bytes) -> Call:
        self.calls.append(Call(pieces))
        return self.calls[-1]


class Cluster:
    """In the place of a connection, with one actor."""

    is_open = True

    def __init__(self) -> None:
        self.where, self.take, self.hear = Method(), Method(), Method()

    def open(self) -> None: ...
    def leave(self) -> None: ...
    def close(self) -> None: ...
    def kill(self, actor: Cluster) -> None: ...

    def actor(self, *_: object) -> Cluster:
        return self

    def node(self, *where: str) -> Node:
        return Node(*where)

    def then(self, call: Call, answered: Callable[[Any], None], failed: Callable[[Exception], None]) -> None:
        call.answer = answered


class Ear:
    def __init__(self) -> None:
        self.here = False
        self.pieces: list[bytes] = []

    def arrived(self, node: Node) -> None:
        self.here = True

    def heard(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def gone(self, why: str, refused: bool = False) -> None: ...


class Talk:
    """An agent that has arrived, and the calls of its actor."""

    def __init__(self, transport: RayTransport) -> None:
        self.transport, self.cluster, self.ear = transport, Cluster(), Ear()
        transport._connection = self.cluster  # type: ignore[assignment]
        self.agent: RayAgent = transport.ask("ping", self.ear)
        wait_until(lambda: self.cluster.where.calls)
        self.cluster.where.calls[0].answer(("east", "127.0.0.1"))
        wait_until(lambda: self.cluster.take.calls)
        self._answered = 0

    def say(self, piece: bytes) -> None:
        """Returns when it was handed over."""
        self.agent.send(piece)
        wait_until(lambda: any(piece in call.pieces for call in self.cluster.take.calls + self.cluster.hear.calls))

    def answer(self, *pieces: bytes) -> None:
        """By the call that has waited for the longest; returns when all is done that follows from it."""
        self.cluster.take.calls[self._answered].answer(joined(list(pieces)))
        self._answered += 1
        done: list[None] = []
        self.transport.call(lambda: done.append(None))
        wait_until(lambda: done)

    @property
    def calls(self) -> tuple[int, int]:
        """How many there were that take, and that do not."""
        return len(self.cluster.take.calls), len(self.cluster.hear.calls)

    @property
    def waiting(self) -> int:
        return len(self.cluster.take.calls) - self._answered


@pytest.fixture
def talk() -> Iterator[Talk]:
    transport = RayTransport()
    yield Talk(transport)
    transport.close()


def test_what_is_said_and_answered_in_turn_takes_one_call_a_time(talk: Talk) -> None:
    for number in range(10):
        talk.say(b"%d" % number)
        talk.answer(b"answer %d" % number)
    assert talk.calls == (11, 0)
    assert talk.ear.pieces == [b"answer %d" % number for number in range(10)]


def test_an_answer_is_always_waited_for_and_never_more_than_may_be(talk: Talk) -> None:
    for number in range(5):
        talk.answer(b"%d" % number)
        assert talk.waiting == 1
    for number in range(5):
        talk.say(b"%d" % number)
    assert talk.waiting == TAKES
    assert talk.calls == (7, 4)


def test_behind_a_whole_piece_as_many_are_waited_for_as_may_be(talk: Talk) -> None:
    talk.answer(bytes(PIECE_BYTES))
    assert talk.waiting == TAKES


def test_what_came_together_is_handed_over_together(talk: Talk) -> None:
    pieces = [b"%d" % number for number in range(5)]

    def say() -> None:  # in the thread that hands over, which sees what there is when that is done
        for piece in pieces:
            talk.agent.send(piece)

    talk.transport.call(say)
    wait_until(lambda: len(talk.cluster.take.calls) == 2)
    assert talk.cluster.take.calls[1].pieces == tuple(pieces)


@pytest.mark.parametrize("pieces", [[], [b""], [b"one"], [b"one", b"", bytes(1000)]])
def test_pieces_that_are_joined_are_parted_again(pieces: list[bytes]) -> None:
    assert list(parted(joined(pieces))) == pieces
