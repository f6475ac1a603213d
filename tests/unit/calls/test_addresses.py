"""Which addresses a service may have, that each is looked up once, and that certificates are checked."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from elspeth.calls.config import ProviderConfig
from elspeth.calls.model import Chat, Exchange, Http, Message, Request
from elspeth.calls.wire.addresses import is_private
from elspeth.calls.wire.client import Client
from tests.kit.provider.server import FakeProvider

CHAT = Request("main", Chat(model="m", messages=(Message("user", "x"),)))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0", "100.64.0.1", "224.0.0.1",
        "::1", "fe80::1%eth0", "fd00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::",
    ],
)  # fmt: skip
def test_addresses_of_this_machine_and_of_private_networks_are_private(address: str) -> None:
    assert is_private(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_others_are_not(address: str) -> None:
    assert not is_private(address)


def send(url: str, request: Request, **more: Any) -> Exchange:
    client = Client(ProviderConfig(**{"name": "main", "kind": "http", "base_url": url, "api_key": "k" * 20, **more}))
    try:
        return client.send(request, time.monotonic() + 10, "")
    finally:
        client.close()


def test_a_name_that_answers_otherwise_the_second_time_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        to = "8.8.8.8" if len(asked) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (to, port))]

    connected: list[Any] = []

    def connect(_: Any, to: Any) -> None:
        connected.append(to[0])
        raise ConnectionRefusedError

    with FakeProvider() as provider:
        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(socket.socket, "connect", connect)
        exchange = send(f"http://rebinding.example:{provider.port}", Request("main", Http(method="GET")))
    assert exchange.outcome == "never_sent"
    assert (asked, connected) == (["rebinding.example"], ["8.8.8.8"])
    assert provider.seen == []


def test_a_name_with_one_private_address_among_its_own_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (to, 80)) for to in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    exchange = send("http://two.example", Request("main", Http(method="GET")))
    assert (exchange.outcome, exchange.reason) == ("refused", "private_address")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", tmp_path / "key.pem", "-out", tmp_path / "ca.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    return tmp_path / "ca.pem"


def test_certificates_are_checked_unless_the_settings_say_otherwise(certificate: Path) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    with FakeProvider(tls=tls) as provider:
        checked = send(provider.url, CHAT, kind="openai")
        trusted = send(provider.url, CHAT, kind="openai", verify=str(certificate))
        unchecked = send(provider.url, CHAT, kind="openai", verify=False)
        cut = provider.next_faults.append("trickle") or send(
            provider.url, CHAT, kind="openai", verify=str(certificate), timeout_seconds=0.3
        )
    assert (checked.outcome, checked.reason) == ("never_sent", "tls")
    assert (trusted.outcome, unchecked.outcome) == ("answered", "answered")
    assert (cut.outcome, cut.reason) == ("unknown", "timed_out")


def test_a_handshake_that_never_ends_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        exchange = send(url, CHAT, kind="openai", connect_timeout_seconds=0.2)
    assert exchange.outcome == "never_sent", exchange


def test_headers_that_trickle_are_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as slow:
        stop = threading.Event()

        def trickle() -> None:
            sock, _ = slow.accept()
            with sock:
                while not stop.wait(0.02):
                    try:
                        sock.sendall(b"H")
                    except OSError:
                        return

        thread = threading.Thread(target=trickle)
        thread.start()
        exchange = send(f"http://127.0.0.1:{slow.getsockname()[1]}", CHAT, kind="openai", timeout_seconds=0.3)
        stop.set()
        thread.join()
    assert (exchange.outcome, exchange.reason) == ("unknown", "timed_out")


def test_a_proxy_is_used_only_when_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeProvider() as proxy, FakeProvider() as provider:
        monkeypatch.setenv("http_proxy", proxy.origin)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert send(provider.url, CHAT, kind="openai").outcome == "answered"
        assert (len(provider.seen), len(proxy.seen)) == (1, 0)
        assert send(provider.url, CHAT, kind="openai", trust_env=True).outcome == "answered"
    assert (len(provider.seen), len(proxy.seen)) == (1, 1)
    assert proxy.seen[0].target == f"{provider.url}/chat/completions"
