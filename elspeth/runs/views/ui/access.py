"""Who is answered: whoever names this server by a name of its own, and has the token that it printed."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
import socket
from http import HTTPStatus

from elspeth.runs.views.ui.requests import Refused, Request

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[^\s:\[\]]+)(?::[0-9]{1,5})?")
_WILDCARDS = ("0.0.0.0", "::")


class Access:
    """The token of one server, and the names it goes by. `host` is where it listens."""

    def __init__(self, host: str) -> None:
        self.token = secrets.token_urlsafe(24)
        # Cookies know no ports: two servers on one host must not take each other's.
        self.cookie = f"elspeth-{hashlib.sha256(self.token.encode()).hexdigest()[:8]}"
        self._names = {"localhost", host.lower()}
        if host in _WILDCARDS:
            self._names.add(socket.gethostname().lower())
        self._once: set[str] = set()

    def once(self) -> str:
        """A token that is good for one request: what is on the command line of a browser can be read by others."""
        token = secrets.token_urlsafe(24)
        self._once.add(token)
        return token

    def admit(self, request: Request) -> bool:
        """Raise `Refused` unless the request may be answered. Answers whether the token was in its address."""
        self._check_host(request.headers.get("host", ""))
        if request.path != "/" and request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Refused(HTTPStatus.FORBIDDEN, "Pages of others are given nothing.")
        given = request.query.get("token")
        if given is not None and self._is_token(given):
            return True
        if _same(request.cookie(self.cookie), self.token):
            return False
        raise Refused(HTTPStatus.FORBIDDEN, "Open the whole address that elspeth ui printed, with its token.")

    def _is_token(self, given: str) -> bool:
        if _same(given, self.token):
            return True
        found = next((token for token in self._once if _same(given, token)), None)
        self._once.discard(found or "")
        return found is not None

    def _check_host(self, text: str) -> None:
        """A page of somebody else's can let its own name point here (DNS rebinding), but not change that name."""
        found = _HOST.fullmatch(text)
        if found is None or not (found[1].lower() in self._names or _is_address(found[1].strip("[]"))):
            raise Refused(HTTPStatus.FORBIDDEN, "This server does not go by that name; --host says which it has.")


def _same(one: str, other: str) -> bool:
    return secrets.compare_digest(one.encode("utf-8", "replace"), other.encode())


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
