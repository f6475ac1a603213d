from __future__ import annotations

import errno
import os
import socket

import pytest

from actors.places.local import fork_server_main
from actors.places.local.spawn_request import ANSWER, FORK, REAP, encode, receive


def test_a_fork_that_the_system_refuses_is_answered_with_its_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(errno.EAGAIN, "no more")

    monkeypatch.setattr(os, "fork", refuse)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        given = os.open(os.devnull, os.O_RDONLY)
        fork_server_main._fork(theirs, [], [given])
        assert ANSWER.unpack(ours.recv(ANSWER.size)) == (errno.EAGAIN, 0)
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(given)


def test_requests_arrive_one_by_one_with_their_descriptors() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, open(os.devnull) as file:  # noqa: PTH123
        socket.send_fds(ours, [encode(FORK, "name \udcff", {"a": "ä"})], [file.fileno()])
        ours.sendall(encode(REAP, 42))
        request, descriptors = receive(theirs) or ([], [])
        assert request == ["fork", "name \udcff", {"a": "ä"}]
        assert [os.get_inheritable(descriptor) for descriptor in descriptors] == [False]
        assert os.path.sameopenfile(descriptors[0], file.fileno())
        os.close(descriptors[0])
        assert receive(theirs) == (["reap", 42], [])


@pytest.mark.parametrize("sent", [b"", encode(REAP, 42)[:-1]])
def test_a_request_that_is_cut_off_is_the_end(sent: bytes) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        ours.sendall(sent)
        ours.close()
        assert receive(theirs) is None
