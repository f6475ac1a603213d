"""Where the server listens, and what its address is called."""

from __future__ import annotations

import errno
import ipaddress
import socket

from elspeth.durable import why
from elspeth.errors import ElspethError, SettingsError, Temporary

BACKLOG = 128


def listening(host: str, port: int) -> socket.socket:
    """A listening socket. Raises `Temporary` where the port is taken, `SettingsError` where there is no such place."""
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        return socket.create_server(place[:2], family=family, backlog=BACKLOG)
    except socket.gaierror as error:
        raise SettingsError(
            f"--host {host}: there is no such host: {error.strerror}",
            next_step="leave --host out: 127.0.0.1 is this machine",
        ) from error
    except (OSError, UnicodeError) as error:
        raise _refused(host, port, error) from error


def address(host: str, listener: socket.socket, token: str) -> str:
    """What is typed into a browser on this machine."""
    name = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(host, host)
    shown = f"[{name}]" if ":" in name else name
    return f"http://{shown}:{listener.getsockname()[1]}/?token={token}"


def is_loopback(listener: socket.socket) -> bool:
    """Whether only this machine can reach it."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def _refused(host: str, port: int, error: OSError | UnicodeError) -> ElspethError:
    if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
        return Temporary(
            f"port {port} of {host} is in use by another program", next_step="elspeth ui --port 0  (takes a free one)"
        )
    if isinstance(error, OSError) and error.errno not in (errno.EADDRNOTAVAIL, errno.EACCES, errno.EAFNOSUPPORT):
        return Temporary(
            f"{host}, port {port}, cannot be listened at: {why(error)}", next_step="mend it, or name others"
        )
    reason = why(error) if isinstance(error, OSError) else "that is no name of a host"
    return SettingsError(
        f"{host}, port {port}, cannot be listened at: {reason}", next_step="name others with --host, --port"
    )
