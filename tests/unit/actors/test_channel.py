from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors import channel
from actors.channel import DATA, READY, ChannelClosed, FrameReader, FrameRefused, Outgoing, encode


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = channel.pair()
    with left, right:
        yield left, right


def send(sock: socket.socket, *parts: bytes | memoryview, kind: int = DATA) -> None:
    outgoing = Outgoing()
    outgoing.put(encode(kind, parts))
    assert outgoing.flush(sock)


def received(reader: FrameReader) -> list[bytes] | None:
    frame = reader.read()
    return None if frame is None else [bytes(part) for part in frame[1]]


@given(st.lists(st.lists(st.binary(max_size=50), max_size=6), max_size=6), st.integers(1, 40))
@settings(max_examples=60)
def test_frames_come_out_as_they_went_in_however_the_bytes_arrive(frames: list[list[bytes]], step: int) -> None:
    left, right = channel.pair()
    with left, right:
        reader, got = FrameReader(right), []
        stream = b"".join(bytes(buffer) for parts in frames for buffer in encode(DATA, parts))
        for start in range(0, len(stream), step):
            left.sendall(stream[start : start + step])
            while (parts := received(reader)) is not None:
                got.append(parts)
        assert got == frames


def test_the_kind_of_a_frame_is_kept(ends: tuple[socket.socket, socket.socket]) -> None:
    send(ends[0], kind=READY)
    assert FrameReader(ends[1]).read() == (READY, [])


def test_a_view_of_wider_items_is_sent_as_its_bytes(ends: tuple[socket.socket, socket.socket]) -> None:
    send(ends[0], memoryview(b"12345678").cast("q"))
    assert received(FrameReader(ends[1])) == [b"12345678"]


def test_parts_that_were_received_cannot_be_changed(ends: tuple[socket.socket, socket.socket]) -> None:
    send(ends[0], b"part")
    frame = FrameReader(ends[1]).read()
    assert frame is not None
    assert frame[1][0].readonly


def test_more_parts_than_one_call_takes_arrive(ends: tuple[socket.socket, socket.socket]) -> None:
    parts = [b"%d" % number for number in range(3000)]
    send(ends[0], *parts)
    assert received(FrameReader(ends[1])) == parts


def test_what_the_socket_does_not_take_is_kept_and_sent_later(ends: tuple[socket.socket, socket.socket]) -> None:
    outgoing, reader = Outgoing(), FrameReader(ends[1])
    big = bytes(range(256)) * (40 << 10)
    outgoing.put(encode(DATA, [big, b"end"]))
    assert not outgoing.flush(ends[0], socket.MSG_DONTWAIT)
    while (parts := received(reader)) is None:
        outgoing.flush(ends[0], socket.MSG_DONTWAIT)
    assert parts == [big, b"end"]


def test_a_blocking_send_waits_for_the_reader(ends: tuple[socket.socket, socket.socket]) -> None:
    big = b"x" * (10 << 20)
    sender = threading.Thread(target=send, args=(ends[0], big))
    sender.start()
    reader = FrameReader(ends[1])
    while (parts := received(reader)) is None:
        pass
    sender.join()
    assert parts == [big]


def test_whole_frames_are_read_before_the_end_and_a_torn_one_is_dropped(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    send(ends[0], b"whole")
    ends[0].sendall(b"".join(map(bytes, encode(DATA, [b"torn"])))[:-1])
    ends[0].close()
    reader = FrameReader(ends[1])
    assert received(reader) == [b"whole"]
    with pytest.raises(ChannelClosed):
        reader.read()


def test_frames_of_a_peer_that_died_with_unread_input_are_read(ends: tuple[socket.socket, socket.socket]) -> None:
    send(ends[1], b"never read by the peer")
    send(ends[0], b"whole")
    ends[0].close()
    reader = FrameReader(ends[1])
    assert received(reader) == [b"whole"]
    with pytest.raises(ChannelClosed):
        reader.read()


def test_sending_to_nobody_says_so(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[1].close()
    with pytest.raises(ChannelClosed):
        send(ends[0], b"hello?")


def test_bytes_that_are_no_frame_are_refused(ends: tuple[socket.socket, socket.socket]) -> None:
    ends[0].sendall(b"this was printed to the wrong place")
    with pytest.raises(FrameRefused):
        FrameReader(ends[1]).read()


def test_a_message_of_too_many_parts_is_refused_before_it_is_sent() -> None:
    with pytest.raises(FrameRefused, match="65537 parts; the limit is 65536"):
        encode(DATA, [b""] * ((1 << 16) + 1))


@given(
    st.lists(st.lists(st.binary(max_size=80), max_size=9), min_size=1, max_size=5),
    st.integers(min_value=17, max_value=120),
    st.integers(1, 40),
)
@settings(max_examples=200)
def test_a_message_over_the_limit_of_a_frame_travels_as_several_and_arrives_as_one(
    messages: list[list[bytes]], limit: int, step: int
) -> None:
    left, right = channel.pair()
    with left, right, pytest.MonkeyPatch.context() as patch:
        patch.setattr(channel, "MAX_FRAME_BYTES", limit)
        stream = b"".join(bytes(buffer) for parts in messages for buffer in encode(READY, parts))
        reader, got = FrameReader(right), []
        for start in range(0, len(stream), step):
            left.sendall(stream[start : start + step])
            while (frame := reader.read()) is not None:
                assert frame[0] == READY
                got.append([bytes(part) for part in frame[1]])
        assert got == messages
