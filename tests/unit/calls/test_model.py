"""Requests hash by what is asked and by nothing else; costs are exact."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest

from elspeth.calls.model import Chat, Exchange, Http, Message, Price, Request, Usage


def chat(**changes: object) -> Request:
    content = Chat(model="m", messages=(Message("user", "hello"),), parameters={"temperature": 0})
    return Request("main", msgspec.structs.replace(content, **changes))


def test_equal_requests_have_one_hash() -> None:
    assert chat().sha256() == chat().sha256()
    assert chat(parameters={"a": 1, "b": 2}).sha256() == chat(parameters={"b": 2, "a": 1}).sha256()


@pytest.mark.parametrize(
    "changes",
    [
        {"model": "n"},
        {"messages": (Message("system", "hello"),)},
        {"parameters": {}},
        {"json": True},
        {"schema": {"type": "object"}},
    ],
)
def test_whatever_is_asked_is_in_the_hash(changes: dict[str, object]) -> None:
    assert chat(**changes).sha256() != chat().sha256()


def test_the_same_question_to_another_provider_is_another_request() -> None:
    assert Request("other", chat().content).sha256() != chat().sha256()


def test_how_an_answer_is_taken_is_not_in_the_hash() -> None:
    one = Request("crm", Http(method="POST", path="/x", json={"a": 1}))
    other = Request("crm", Http(method="POST", path="/x", json={"a": 1}, success=(418,), max_body_bytes=5))
    assert one.sha256() == other.sha256()


@pytest.mark.parametrize(("method", "harmless"), [("GET", True), ("PUT", True), ("POST", False), ("PATCH", False)])
def test_a_method_says_whether_asking_twice_harms(method: str, harmless: bool) -> None:
    assert Request("crm", Http(method=method)).repeatable is harmless


def test_a_model_may_be_asked_twice() -> None:
    assert chat().repeatable


def test_costs_are_exact() -> None:
    price = Price(input_per_million=Decimal("0.1"), output_per_million=Decimal("0.2"))
    assert sum((price.cost(Usage(1, 1)) for _ in range(10)), Decimal(0)) == Decimal("0.000003")
    assert Price(per_call=Decimal("0.05")).cost(Usage()) == Decimal("0.05")


def test_requests_and_exchanges_travel_as_bytes() -> None:
    exchange = Exchange(outcome="answered", status=200, usage=Usage(3, 4), headers={"x-request-id": "r"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(exchange), type=Exchange) == exchange
    for request in (chat(), Request("crm", Http(method="GET", query={"a": "b"}))):
        assert msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=Request) == request
