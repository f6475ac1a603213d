"""What is said arrives whole, once and in order, whatever becomes of the pieces on their way; memory is bounded."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.wire.conversation import STREAMS, WINDOW_BYTES, Conversation, PieceRefused

STREAM, OTHER_STREAM, WHOLE, WORD = 0, 1, STREAMS, STREAMS + 1


def said(items: Iterator[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
    """Items with neighbours of one stream put together."""
    found: list[tuple[int, bytes]] = []
    for kind, data in items:
        if kind < STREAMS and found and found[-1][0] == kind:
            found[-1] = kind, found[-1][1] + bytes(data)
        elif data or kind >= STREAMS:
            found.append((kind, bytes(data)))
    return found


@given(
    st.lists(st.tuples(st.sampled_from([STREAM, OTHER_STREAM, WHOLE]), st.binary(max_size=200)), max_size=40),
    st.integers(30, 90),
    st.integers(20, 300),
    st.randoms(use_true_random=False),
)
def test_what_was_put_arrives_as_it_was_whatever_the_way_does(
    put: list[tuple[int, bytes]], piece_bytes: int, window: int, chance: random.Random
) -> None:
    here, there = Conversation(window, piece_bytes), Conversation(window, piece_bytes)
    for kind, data in put:
        here.put(kind, data)
    heard: list[tuple[int, bytes]] = []
    under_way: list[tuple[Conversation, bytes]] = []
    while True:
        under_way += [(there, piece) for piece in here.pieces()] + [(here, piece) for piece in there.pieces()]
        if not under_way:
            break
        to, piece = under_way.pop(chance.randrange(len(under_way)))
        assert len(piece) <= piece_bytes
        if chance.random() < 0.3:
            under_way.append((to, piece))
        for kind, data in to.hear(piece):
            assert to is there
            heard.append((kind, bytes(data)))
            if kind < STREAMS:
                there.let_go(len(data))
    assert said(iter(heard)) == said(iter(put))
    assert here.queued == 0
    assert not there._early  # nothing is kept of what came twice


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=20), st.integers(30, 90))
def test_words_arrive_as_they_were_said_and_ahead_of_bulk(words: list[bytes], piece_bytes: int) -> None:
    here, there = Conversation(piece_bytes=piece_bytes), Conversation()
    here.put(WHOLE, b"bulk")
    for word in words:
        here.say(WORD, word)
    heard = [(kind, bytes(data)) for piece in here.pieces() for kind, data in there.hear(piece)]
    assert heard == [*((WORD, word) for word in words), (WHOLE, b"bulk")]


def test_no_more_is_sent_than_the_window_until_the_other_side_lets_go() -> None:
    here, there = Conversation(), Conversation()
    here.put(STREAM, bytes(3 * WINDOW_BYTES))
    sent = sum(len(data) for piece in here.pieces() for _, data in there.hear(piece))
    assert WINDOW_BYTES <= sent < WINDOW_BYTES + 90_000
    assert here.queued == 3 * WINDOW_BYTES - sent
    here.say(WORD)  # words are
    assert [kind for piece in here.pieces() for kind, _ in there.hear(piece)] == [WORD]
    there.let_go(sent)
    for piece in there.pieces():
        here.hear(piece)
    assert list(here.pieces())
    assert not here.settled


def test_it_is_settled_when_all_was_let_go() -> None:
    here, there = Conversation(), Conversation()
    assert here.settled
    here.put(WHOLE, b"last")
    assert not here.settled
    for piece in here.pieces():
        there.hear(piece)
    assert not here.settled
    there.say(WORD)  # takes along what is let go of
    for piece in there.pieces():
        here.hear(piece)
    assert here.settled


def test_small_ones_go_together() -> None:
    here, there = Conversation(), Conversation()
    for number in range(1000):
        here.put(STREAM, b"%d," % number)
    pieces = list(here.pieces())
    assert len(pieces) == 1
    [(_, data)] = there.hear(pieces[0])
    assert bytes(data) == b"".join(b"%d," % number for number in range(1000))


def test_a_piece_that_is_lost_silences_all_after_it() -> None:
    here, there = Conversation(), Conversation()
    here.say(WORD)
    list(here.pieces())
    here.say(WORD)
    assert [there.hear(piece) for piece in here.pieces()] == [[]]
    assert there.heard == 0


@pytest.mark.parametrize(
    "piece", [b"", b"x" * 5, bytes(16) + b"abc", bytes(16) + bytes([0, 0, 9, 0, 0, 0]), b"\1" * 16]
)
def test_what_is_no_piece_is_refused(piece: bytes) -> None:
    with pytest.raises(PieceRefused, match="no piece"):
        Conversation().hear(piece)
