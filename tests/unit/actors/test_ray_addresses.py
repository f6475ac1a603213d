from __future__ import annotations

import socket

import pytest

from actors.places.ray.cluster import answers


@pytest.mark.parametrize("address", ["auto", "local", "ray://"])
def test_an_address_without_a_port_is_for_ray_to_find(address: str) -> None:
    answers(address)


@pytest.mark.parametrize("form", ["127.0.0.1:{}", "ray://127.0.0.1:{}", "ray://127.0.0.1:{}/"])
def test_it_is_said_at_once_where_nothing_answers(form: str) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        with pytest.raises(ConnectionError, match=rf"nothing answers at 127.0.0.1:{port} \(Connection refused\)"):
            answers(form.format(port))
        server.listen()
        answers(form.format(port))
