"""One HTTP exchange over urllib3, with deadlines of our own: what came back, or what went wrong and how far it got."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProxyError,
    SSLError,
)

from elspeth.calls.wire.addresses import PrivateAddress, resolve
from elspeth.calls.wire.deadlines import Deadlines, Watch
from elspeth.located import located

Trouble = Literal[
    "private_address", "host_not_allowed", "unresolved", "unreachable", "connect_timed_out", "tls", "proxy",
    "timed_out", "connection_lost", "cut_body", "too_large",
]  # fmt: skip
"""What went wrong with an exchange, as a word for the record."""

_PIECE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Connection:
    """How an account is reached. `verify` is whether certificates are checked, or a file of those to trust."""

    connect_timeout_seconds: float = 10.0
    verify: bool | str = True
    trust_env: bool = False
    allow_hosts: frozenset[str] = frozenset()
    allow_private: bool = True


@dataclass(frozen=True, slots=True)
class Response:
    """What came back: header names in lower case, the whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class NoResponse(Exception):
    """An exchange without a whole response. `sent`: the service may have been reached, and may have acted.

    `status` and `body` are what had come of a response that was cut.
    """

    def __init__(self, trouble: Trouble, message: str, *, sent: bool, status: int | None = None, body: bytes = b""):
        super().__init__(message)
        self.trouble, self.message, self.sent, self.status, self.body = trouble, message, sent, status, body


class _Exchange(threading.local):
    """What the connection that urllib3 picks must know of the exchange that this thread is in."""

    deadline: float = 0.0
    sent: bool = False
    watch: Watch | None = None
    refused: str = ""


class Transport:
    """Connections to one account. Used by many threads at once; each exchange is one thread's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = _Exchange()
        self._deadlines = Deadlines()
        self._pools: dict[tuple[str, str, int], urllib3.HTTPConnectionPool] = {}
        self._lock = threading.Lock()

    def exchange(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes | None, deadline: float, max_bytes: int
    ) -> Response:
        """Send one request and read its response; over before `deadline`, never redirected, never tried again.

        Raises `NoResponse` for whatever goes wrong.
        """
        now = self._now
        now.deadline, now.sent, now.watch, now.refused = deadline, False, None, ""
        parts = urlsplit(url)
        if parts.hostname is None or parts.hostname not in self._connection.allow_hosts:
            raise NoResponse("host_not_allowed", f"{parts.hostname} is none of the hosts in `allow_hosts`", sent=False)
        response: Any = None
        received = bytearray()
        try:
            target = url if self._proxy(parts.scheme, parts.hostname) and parts.scheme == "http" else _target(url)
            response = self._pool(url).urlopen(
                method, target, body=body, headers=dict(headers), retries=False, redirect=False,
                preload_content=False, assert_same_host=False, timeout=self._timeout(deadline),
            )  # fmt: skip
            for piece in response.stream(_PIECE):
                received += piece
                if len(received) > max_bytes:
                    raise NoResponse("too_large", f"the answer is larger than {max_bytes} bytes", sent=True,
                                     status=response.status)  # fmt: skip
            found = {name.lower(): value for name, value in response.headers.items()}
            response.release_conn()
            result, response = Response(response.status, found, bytes(received)), None
            return result
        except (HTTPError, OSError) as error:
            raise self._trouble(error, response, bytes(received)) from error
        finally:
            if now.watch is not None:
                self._deadlines.end(now.watch)
                now.watch = None
            if response is not None:
                response.close()

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            for pool in self._pools.values():
                pool.close()
            self._pools.clear()

    def connect(self, host: str, port: int) -> socket.socket:
        """A socket to a host, by its deadline; the address is looked up here and nowhere else. Raises `OSError`."""
        connection, errors = self._connection, OSError(f"{host} has no address")
        until = min(self._now.deadline, time.monotonic() + connection.connect_timeout_seconds)
        for address in resolve(host, port, allow_private=connection.allow_private):
            sock = socket.socket(address.family, socket.SOCK_STREAM)
            try:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.settimeout(max(until - time.monotonic(), 0.001))
                sock.connect(address.to)
                return sock
            except OSError as error:
                sock.close()
                errors = error
        raise errors

    def handshaking(self, sock: socket.socket) -> Watch:
        """Watch a socket while TLS is agreed on, which takes it over: a second handle of it is watched."""
        until = min(self._now.deadline, time.monotonic() + self._connection.connect_timeout_seconds)
        return self._deadlines.begin(sock.dup(), until)

    def shaken(self, watch: Watch) -> None:
        """The end of that."""
        self._deadlines.end(watch)
        watch.sock.close()

    def sending(self, sock: socket.socket) -> None:
        """From here on the service may act. The socket is watched until the exchange is over."""
        if not self._now.sent:
            self._now.sent = True
            sock.settimeout(None)
            self._now.watch = self._deadlines.begin(sock, self._now.deadline)

    def refuse(self, why: str) -> None:
        """Remember why no connection is made: urllib3 has no error for it."""
        self._now.refused = why

    def _passed(self) -> bool:
        return self._now.watch is not None and self._now.watch.passed

    def _timeout(self, deadline: float) -> urllib3.Timeout:
        left = max(deadline - time.monotonic(), 0.001)
        return urllib3.Timeout(connect=min(left, self._connection.connect_timeout_seconds), read=None)

    def _trouble(self, error: Exception, response: Any, body: bytes) -> NoResponse:
        now, why = self._now, _words(error)
        if now.refused:
            return NoResponse("private_address", now.refused, sent=False)
        if self._passed():
            return NoResponse("timed_out", "no whole answer before the deadline", sent=True,
                              status=getattr(response, "status", None), body=body)  # fmt: skip
        if response is not None:
            return NoResponse("cut_body", f"the answer ended before it was whole: {why}", sent=True,
                              status=response.status, body=body)  # fmt: skip
        if now.sent:
            return NoResponse("connection_lost", f"the connection broke before an answer came: {why}", sent=True)
        trouble: Trouble = "unreachable"
        if isinstance(error, NameResolutionError):
            trouble = "unresolved"
        elif isinstance(error, NewConnectionError):
            trouble = "unreachable"
        elif isinstance(error, ConnectTimeoutError):
            trouble = "connect_timed_out"
        elif isinstance(error, SSLError):
            trouble = "tls"
        elif isinstance(error, ProxyError):
            trouble = "proxy"
        return NoResponse(trouble, f"no connection: {why}", sent=False)

    def _pool(self, url: str) -> urllib3.HTTPConnectionPool:
        parts = urlsplit(url)
        host, port = str(parts.hostname), parts.port or (443 if parts.scheme == "https" else 80)
        with self._lock:
            pool = self._pools.get((parts.scheme, host, port))
            if pool is None:
                pool = self._pools[parts.scheme, host, port] = self._new_pool(parts.scheme, host, port)
            return pool

    def _new_pool(self, scheme: str, host: str, port: int) -> urllib3.HTTPConnectionPool:
        # As many connections are kept as threads ask at once; the limits say how many those are.
        more: dict[str, Any] = {"maxsize": 1024, "block": False}
        if scheme == "https":
            more["ssl_context"] = _context(self._connection.verify)
        found: urllib3.HTTPConnectionPool
        proxy = self._proxy(scheme, host)
        if proxy:
            found = urllib3.ProxyManager(proxy, **more).connection_from_host(host, port, scheme)
        else:
            found = (urllib3.HTTPSConnectionPool if scheme == "https" else urllib3.HTTPConnectionPool)(
                host, port, **more
            )
        found.ConnectionCls = _connection_class(self, HTTPSConnection if scheme == "https" else HTTPConnection)
        return found

    def _proxy(self, scheme: str, host: str) -> str | None:
        if not self._connection.trust_env or proxy_bypass(host):
            return None
        return getproxies().get(scheme)


def _connection_class(transport: Transport, base: type[HTTPConnection]) -> type[HTTPConnection]:
    """Connections that tell the transport how far they got, and look addresses up by its rules."""

    class Connected(base):  # type: ignore[misc, valid-type]
        _connecting = False
        _watch: Watch | None = None

        def _new_conn(self) -> socket.socket:
            try:
                sock = transport.connect(self._dns_host, self.port)
            except PrivateAddress as error:
                transport.refuse(str(error))
                raise NewConnectionError(self, str(error)) from error
            except socket.gaierror as error:
                raise NameResolutionError(self.host, self, error) from error
            except TimeoutError as error:
                raise ConnectTimeoutError(self, f"{self.host} did not accept the connection in time") from error
            except OSError as error:
                raise NewConnectionError(self, str(error)) from error
            self._watch = transport.handshaking(sock)
            return sock

        def connect(self) -> None:
            self._connecting = True
            try:
                super().connect()
            finally:
                self._connecting = False
                if self._watch is not None:
                    transport.shaken(self._watch)
                    self._watch = None
            if base is HTTPSConnection:
                self.is_verified = True  # or the settings say `verify: false`, of which `validate` warns

        def send(self, data: Any) -> None:
            if self.sock is None:
                self.connect()
            if not self._connecting:  # else it is a word to a proxy
                transport.sending(self.sock)
            super().send(data)

    return Connected


def _context(verify: bool | str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=located(verify) if isinstance(verify, str) else None)
    if verify is False:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _target(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def _words(error: Exception) -> str:
    """What an error says, without the objects that urllib3 puts into it."""
    cause: BaseException = error
    while cause.__cause__ is not None or (len(cause.args) > 1 and isinstance(cause.args[1], Exception)):
        cause = cause.__cause__ or cause.args[1]
    text = str(cause.args[-1]) if cause.args else ""
    strerror = getattr(cause, "strerror", None)
    return str(strerror or text or type(cause).__name__)
