"""What the server sends, as bytes of HTTP: every answer says what a browser may do with it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus

TEXT, HTML, JSON, EVENTS = "text/plain", "text/html", "application/json", "text/event-stream"

_ALWAYS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
NOTHING = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
"""The Content-Security-Policy of what is no page."""


def head(status: HTTPStatus, kind: str, headers: Mapping[str, str]) -> bytes:
    """The head of an answer, with the empty line behind it. What is in `headers` is ours, and has no line end in it."""
    lines = {"Content-Type": f"{kind}; charset=utf-8", "Content-Security-Policy": NOTHING, **_ALWAYS, **headers}
    text = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{text}\r\n".encode("latin-1")


def whole(status: HTTPStatus, kind: str, body: bytes, **headers: str) -> bytes:
    """An answer that is sent in one piece. Names of `headers` have `_` for `-`."""
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return head(status, kind, {"Content-Length": str(len(body)), **given}) + body


def refusal(status: HTTPStatus, sentence: str) -> bytes:
    """Why a request is not answered."""
    more = {"Allow": "GET"} if status == HTTPStatus.METHOD_NOT_ALLOWED else {}
    return whole(status, TEXT, f"{sentence}\n".encode(), **more)
