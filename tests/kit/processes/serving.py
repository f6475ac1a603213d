"""`elspeth ui` as a process, and who asks it: over plain sockets, so that anything can be sent."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from tests.kit.processes.running import begin
from tests.kit.processes.waiting import PATIENCE_SECONDS


@dataclass(frozen=True)
class Answer:
    """What came back: a status (0 where the connection was closed without one), headers, body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def value(self) -> Any:
        """The body, where it is JSON."""
        return json.loads(self.body)


class Serving:
    """A server that was started, by the address that it printed."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        parts = urlsplit(address)
        self.process = process
        self.address = address
        self.host, self.port = parts.hostname or "", parts.port or 0
        self.token = parts.query.removeprefix("token=")

    def connect(self) -> socket.socket:
        """A connection to it."""
        return socket.create_connection((self.host, self.port), timeout=PATIENCE_SECONDS)

    def send(self, request: bytes) -> Answer:
        """Send these bytes, and read until the connection is closed."""
        with self.connect() as connection:
            answer = b""
            try:
                connection.sendall(request)
                while piece := connection.recv(1 << 16):
                    answer += piece
            except ConnectionError:
                pass  # closed while something was still to be sent
        return _answer(answer)

    def get(self, target: str, *headers: str, token: str | None = None, host: str = "") -> Answer:
        """Ask for a path; with the token in a cookie unless another one is given ("" for none)."""
        return self.send(self.request(target, *headers, token=token, host=host))

    def request(self, target: str, *headers: str, token: str | None = None, host: str = "") -> bytes:
        """The bytes of a request."""
        lines = [f"GET {target} HTTP/1.1", f"Host: {host or f'{self.host}:{self.port}'}", *headers]
        if given := self.token if token is None else token:
            lines.append(f"Cookie: other=1; {self.cookie}={given}")
        return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()

    @property
    def cookie(self) -> str:
        """The name of the cookie."""
        if not hasattr(self, "_cookie"):
            given = self.send(f"GET /?token={self.token} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            self._cookie = given.headers["set-cookie"].partition("=")[0]
        return self._cookie

    def story(self, asked: str, run: str = "latest") -> Any:
        """The answer to a question about a row."""
        return self.get(f"/story?run={run}&of={quote(asked, safe='')}").value

    @contextmanager
    def watching(self, run: str = "latest") -> Iterator[Iterator[tuple[str, Any]]]:
        """The events of a run as they come: kind and value."""
        with self.connect() as connection:
            connection.sendall(self.request(f"/events?run={run}"))
            yield _events(connection)


@contextmanager
def serving(folder: Path, *words: str, **variables: str) -> Iterator[Serving]:
    """The command in a folder, until the block ends; then Ctrl-C must end it in order."""
    process = begin("ui", "--port", "0", *words, cwd=folder, **variables)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address, process.communicate()[1]
        yield Serving(process, address)
        assert process.poll() is None, process.communicate()[1]
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 130, said
        assert "Traceback" not in said
    finally:
        process.kill()
        process.communicate()


def _answer(text: bytes) -> Answer:
    head, _, body = text.partition(b"\r\n\r\n")
    if not head:
        return Answer(0, {}, b"")
    first, *rest = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    return Answer(int(first.split(" ")[1]), headers, body)


def _events(connection: socket.socket) -> Iterator[tuple[str, Any]]:
    with connection.makefile("rb") as lines:
        assert b" 200 " in lines.readline()
        kind = ""
        for line in lines:
            if line.startswith(b"event: "):
                kind = line[7:].decode().strip()
            elif line.startswith(b"data: "):
                yield kind, json.loads(line[6:])
