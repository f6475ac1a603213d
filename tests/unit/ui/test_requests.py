"""Heads of requests are read strictly, and answered to whoever may be."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from elspeth.runs.views.ui import answers
from elspeth.runs.views.ui.access import Access
from elspeth.runs.views.ui.requests import Refused, Request, parsed


def head(*lines: str) -> bytes:
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1")


def test_a_request_is_read() -> None:
    found = parsed(head("GET /story?run=latest&of=id%3D1%261 HTTP/1.1", "Host: localhost:1", "COOKIE: a=1; b=2", "X:"))
    assert (found.path, found.query) == ("/story", {"run": "latest", "of": "id=1&1"})
    assert (found.headers["host"], found.headers["x"]) == ("localhost:1", "")
    assert [found.cookie(name) for name in ("a", "b", "c", "")] == ["1", "2", "", ""]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["POST / HTTP/1.1", "Host: x"], 405),
        (["HEAD / HTTP/1.1", "Host: x"], 405),
        (["OPTIONS / HTTP/1.1", "Host: x"], 405),
        (["TRACE / HTTP/1.1"], 405),
        (["get / HTTP/1.1"], 400),
        (["GET http://other/ HTTP/1.1"], 400),
        (["GET //other\\ \x01 HTTP/1.1"], 400),
        (["GET / HTTP/2.0"], 400),
        (["GET /"], 400),
        (["GET  / HTTP/1.1"], 400),
        (["GET /#part HTTP/1.1"], 400),
        (["GET /\xe4 HTTP/1.1"], 400),
        ([""], 400),
        (["\x16\x03\x01\x02"], 400),
        (["GET / HTTP/1.1", "Host: x", "Host: y"], 400),
        (["GET / HTTP/1.1", "Host : x"], 400),
        (["GET / HTTP/1.1", "Host: x", " folded"], 400),
        (["GET / HTTP/1.1", "Host: x\x00y"], 400),
        (["GET / HTTP/1.1", "Host: x\nX: y"], 400),
        (["GET / HTTP/1.1", "Content-Length: 5"], 400),
        (["GET / HTTP/1.1", "Content-Length: 0", "Content-Length: 5"], 400),
        (["GET / HTTP/1.1", "Transfer-Encoding: chunked"], 400),
        (["GET /?a=1&a=2 HTTP/1.1"], 400),
        (["GET /?a HTTP/1.1"], 400),
        (["GET /?a=%ff HTTP/1.1"], 400),
        (["GET /?" + "&".join(f"a{n}=1" for n in range(9)) + " HTTP/1.1"], 400),
    ],
)
def test_what_is_no_get_of_ours_is_refused(lines: list[str], status: int) -> None:
    with pytest.raises(Refused) as refused:
        parsed(head(*lines))
    assert refused.value.status == status
    answer = answers.refusal(refused.value.status, refused.value.sentence)
    assert answer.startswith(f"HTTP/1.1 {status} ".encode())
    assert (b"Allow: GET\r\n" in answer) == (status == 405)


def asked(access: Access, *, path: str = "/", host: str = "localhost:1", cookie: str = "", site: str = "",
          **query: str) -> Request:  # fmt: skip
    headers = {"host": host, "cookie": f"{access.cookie}={cookie}", **({"sec-fetch-site": site} if site else {})}
    return Request(path, query, headers)


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:8643", "[::1]:9", "10.0.0.7:1", "build.lan:5"]
)
def test_a_name_of_its_own_is_answered(host: str) -> None:
    access = Access("build.lan")
    assert not access.admit(asked(access, host=host, cookie=access.token))


@pytest.mark.parametrize(
    "host", ["", "evil.example", "localhost.evil.example", "localhost.", "127.0.0.1.evil.example:1", "localhost:1:2",
             "localhost:x", "@localhost", "[evil.example]:1", "localhost, evil.example", "127.1.evil"],
)  # fmt: skip
def test_another_name_is_refused_with_the_token_too(host: str) -> None:
    access = Access("127.0.0.1")
    for request in (asked(access, host=host, cookie=access.token), asked(access, host=host, token=access.token)):
        with pytest.raises(Refused, match="does not go by that name"):
            access.admit(request)


def test_the_token_is_taken_from_address_or_cookie_and_nothing_else_is() -> None:
    access, other = Access("127.0.0.1"), Access("127.0.0.1")
    assert access.cookie != other.cookie
    assert access.admit(asked(access, token=access.token))
    assert not access.admit(asked(access, cookie=access.token))
    for wrong in ("", "x", other.token, access.token[:-1], access.token + "x", "\u20ac", "\ud800"):
        for request in (
            asked(access, token=wrong),
            asked(access, cookie=wrong),
            asked(access, token=wrong, cookie=wrong),
        ):
            with pytest.raises(Refused) as refused:
                access.admit(request)
            assert refused.value.status == HTTPStatus.FORBIDDEN
            assert access.token not in refused.value.sentence


def test_a_token_for_one_request_is_good_for_one() -> None:
    access = Access("127.0.0.1")
    token = access.once()
    assert access.admit(asked(access, token=token))
    with pytest.raises(Refused):
        access.admit(asked(access, token=token))


def test_a_page_of_somebody_else_on_the_same_host_is_given_nothing() -> None:
    access = Access("127.0.0.1")
    for site in ("cross-site", "same-site"):
        with pytest.raises(Refused, match="Pages of others"):
            access.admit(asked(access, path="/story", cookie=access.token, site=site))
    assert not access.admit(asked(access, path="/story", cookie=access.token, site="same-origin"))
    assert not access.admit(asked(access, cookie=access.token, site="cross-site"))  # a link that was followed
