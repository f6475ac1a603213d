from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from actors.places.ray.server import Server, require_answer


@pytest.fixture
def port() -> Iterator[int]:
    """One at which nothing answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.mark.parametrize("address", ["auto", "local", "ray://"])
def test_an_address_without_a_port_is_for_ray_to_find(address: str) -> None:
    require_answer(address)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "ray://127.0.0.1:{}/"])
def test_it_is_said_at_once_where_nothing_answers(form: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with pytest.raises(ConnectionError, match=rf"nothing answers at 127.0.0.1:{port} \(Connection refused\)"):
            require_answer(form.format(port))
        server.listen()
        require_answer(form.format(port))


def test_who_waits_for_a_server_that_is_gone_is_told_when_nobody_wants_it_any_more(port: int) -> None:
    server = Server(f"127.0.0.1:{port}")
    said: list[str] = []

    def wait() -> None:
        try:
            server.wait()
        except ConnectionError as error:
            said.append(str(error))

    thread = threading.Thread(target=wait)
    thread.start()
    assert not server.answers()
    assert thread.is_alive()
    server.leave()
    thread.join()
    assert said == [f"nothing answers at 127.0.0.1:{port}"]


def test_who_waits_for_a_server_goes_on_when_it_is_back() -> None:
    with socket.socket() as socket_of_server:
        socket_of_server.bind(("127.0.0.1", 0))
        server = Server(f"127.0.0.1:{socket_of_server.getsockname()[1]}")
        assert not server.answers()
        thread = threading.Thread(target=server.wait)
        thread.start()
        socket_of_server.listen()
        thread.join()
        assert server.answers()
