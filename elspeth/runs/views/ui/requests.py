"""What a browser asks, read strictly: the head of a GET request (RFC 9112), or why it is refused. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import parse_qsl

MOST_HEAD_BYTES = 16_384
"""So long a head may be: browsers send along the cookies of everybody who serves on this host, on any port."""

MOST_FIELDS = 8
END = b"\r\n\r\n"

_LINE = re.compile(r"([A-Z]{1,20}) (/[!-\"$-~]*) HTTP/1\.[01]")
_HEADER = re.compile(r"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*)")


class Refused(Exception):
    """A request that is not answered. `sentence` says why, to who sent it."""

    def __init__(self, status: HTTPStatus, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Request:
    """A GET request: its path as it was sent, what its query says, its headers by their names in lower case."""

    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]

    def cookie(self, name: str) -> str:
        """The value of a cookie, empty without one."""
        for pair in self.headers.get("cookie", "").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                return value
        return ""


def parsed(head: bytes) -> Request:
    """Read a head, from its first byte to the empty line. Raises `Refused`."""
    first, *rest = head.decode("latin-1").removesuffix(END.decode()).split("\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise Refused(HTTPStatus.BAD_REQUEST, "This is no request for a page of this server.")
    method, target = line.groups()
    if method != "GET":
        raise Refused(HTTPStatus.METHOD_NOT_ALLOWED, "Only GET is answered: nothing can be changed here.")
    headers = _headers(rest)
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise Refused(HTTPStatus.BAD_REQUEST, "A request here has no body.")
    path, _, query = target.partition("?")
    return Request(path, _query(query), headers)


def _headers(lines: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header is None:
            raise Refused(HTTPStatus.BAD_REQUEST, "A header cannot be read.")
        name, value = header[1].lower(), header[2].rstrip(" \t")
        if name in found and name != "cookie":
            # Which of two somebody on the way went by cannot be told.
            if name in ("host", "content-length"):
                raise Refused(HTTPStatus.BAD_REQUEST, f"There are two headers {name}.")
            value = f"{found[name]}, {value}"
        elif name in found:
            value = f"{found[name]}; {value}"
        found[name] = value
    return found


def _query(text: str) -> dict[str, str]:
    if not text:
        return {}
    try:
        pairs = parse_qsl(
            text, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=MOST_FIELDS
        )
    except ValueError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, "The query cannot be read.") from error
    if len(dict(pairs)) != len(pairs):
        raise Refused(HTTPStatus.BAD_REQUEST, "The query says something twice.")
    return dict(pairs)
