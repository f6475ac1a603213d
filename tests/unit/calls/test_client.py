"""Each way in which a service can answer, or not, is one outcome with its own reason; no key gets into any."""

from __future__ import annotations

import time
from typing import Any

import pytest

from elspeth.calls.config import ProviderConfig
from elspeth.calls.model import Chat, Exchange, Http, Message, Request
from elspeth.calls.wire.client import Client
from tests.kit.provider.server import FakeProvider, by_hash

KEY = "sk-very-secret-0123456789"


def config(provider: FakeProvider, **more: Any) -> ProviderConfig:
    kind = more.pop("kind", "openai")
    base = provider.url if kind in ("openai", "anthropic") else provider.origin
    return ProviderConfig(**{"name": "main", "kind": kind, "base_url": base, "api_key": KEY, **more})


def question(text: str = "hello", **more: Any) -> Request:
    return Request("main", Chat(model="m-1", messages=(Message("user", text),), **more))


def ask(provider: FakeProvider, request: Request | None = None, seconds: float = 20.0, **more: Any) -> Exchange:
    client = Client(config(provider, **more))
    try:
        return client.send(request or question(), time.monotonic() + seconds, "key/1")
    finally:
        client.close()


def test_an_answer_is_read_with_its_tokens_and_model() -> None:
    with FakeProvider(key=KEY) as provider:
        exchange = ask(provider)
    assert (exchange.outcome, exchange.reason, exchange.status) == ("answered", "", 200)
    assert exchange.text == by_hash(provider.seen[0])
    assert exchange.model == "m-1"
    assert exchange.usage is not None
    assert exchange.usage.tokens > 0
    assert exchange.sent <= exchange.ended


@pytest.mark.parametrize("kind", ["openai", "azure", "anthropic"])
def test_each_kind_is_asked_in_its_own_words(kind: Any) -> None:
    request = Request(
        "main",
        Chat(model="m-1", messages=(Message("system", "be brief"), Message("user", "hello")), parameters={"top_p": 1}),
    )
    with FakeProvider() as provider:
        exchange = ask(provider, request, kind=kind, api_version="2024-10-21")
    (asked,) = provider.seen
    assert exchange.outcome == "answered", exchange
    assert exchange.text == by_hash(asked)
    assert asked.body["top_p"] == 1
    if kind == "openai":
        assert (asked.target, asked.headers["authorization"]) == ("/v1/chat/completions", f"Bearer {KEY}")
    elif kind == "azure":
        assert asked.target == "/openai/deployments/m-1/chat/completions?api-version=2024-10-21"
        assert asked.headers["api-key"] == KEY
    else:
        assert (asked.target, asked.headers["x-api-key"]) == ("/v1/messages", KEY)
        assert asked.headers["anthropic-version"]
        assert asked.body["system"] == "be brief"
        assert asked.body["max_tokens"] > 0


def test_a_schema_is_sent_strictly_only_where_the_service_would_take_it() -> None:
    strict = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    with FakeProvider() as provider:
        for schema in (strict, {"type": "object", "properties": {"a": {"type": "string"}}}):
            ask(provider, question(schema=schema))
        ask(provider, question(json=True))
    first, second, third = (asked.body["response_format"] for asked in provider.seen)
    assert first == {"type": "json_schema", "json_schema": {"name": "answer", "schema": strict, "strict": True}}
    assert "strict" not in second["json_schema"]
    assert third == {"type": "json_object"}


@pytest.mark.parametrize(
    ("fault", "outcome", "reason"),
    [
        ("429", "retry_later", "rate_limited"),
        ("200 with 429 within", "retry_later", "rate_limited"),
        ("500", "retry_later", "server_error"),
        ("502", "retry_later", "server_error"),
        ("503", "retry_later", "server_error"),
        ("529", "retry_later", "server_error"),
        ("200 with 502 within", "retry_later", "server_error"),
        ("400", "refused", "refused"),
        ("404", "refused", "refused"),
        ("413", "refused", "refused"),
        ("422", "refused", "refused"),
        ("redirect", "refused", "redirected"),
        ("401", "stop", "unauthorised"),
        ("403", "stop", "unauthorised"),
        ("402", "stop", "quota"),
        ("quota", "stop", "quota"),
        ("credit", "stop", "quota"),
        ("filter 400", "answered", "content_filter"),
        ("filter 200", "answered", "content_filter"),
        ("length", "answered", "length"),
        ("invalid json", "refused", "invalid_json"),
        ("wrong type", "refused", "wrong_content_type"),
        ("no choices", "refused", "no_choices"),
        ("no finish reason", "refused", "no_finish_reason"),
        ("no text", "refused", "no_text"),
        ("too large", "refused", "too_large"),
        ("reset", "unknown", "connection_lost"),
        ("drop", "unknown", "connection_lost"),
        ("cut body", "unknown", "cut_body"),
    ],
)
def test_each_fault_is_its_own_outcome_and_reason(fault: str, outcome: str, reason: str) -> None:
    with FakeProvider(faults=[fault]) as provider:
        exchange = ask(provider)
    assert (exchange.outcome, exchange.reason) == (outcome, reason), exchange
    assert len(provider.seen) == 1  # nothing is tried again, and no redirect is followed
    if outcome != "answered":
        assert exchange.message


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_the_whole_call_has_a_deadline_even_if_bytes_keep_coming(fault: str) -> None:
    with FakeProvider(faults=[fault]) as provider:
        exchange = ask(provider, timeout_seconds=0.3)  # the body would trickle for twelve seconds, and be whole
    assert (exchange.outcome, exchange.reason) == ("unknown", "timed_out")
    assert exchange.failure


def test_where_nobody_listens_nothing_was_sent() -> None:
    with FakeProvider() as provider:
        there = config(provider)
    client = Client(there)
    exchange = client.send(question(), time.monotonic() + 5, "")
    assert (exchange.outcome, exchange.reason, exchange.failure) == ("never_sent", "unreachable", True)


def test_a_name_that_nobody_knows_was_never_asked() -> None:
    client = Client(ProviderConfig(name="main", kind="openai", base_url="http://nowhere.invalid/v1"))
    exchange = client.send(question(), time.monotonic() + 20, "")
    assert (exchange.outcome, exchange.reason) == ("never_sent", "unresolved")


@pytest.mark.parametrize(
    ("fault", "low", "high"),
    [
        ("429 retry-after", 1.0, 1.0),
        ("429 retry-after-ms", 0.05, 0.05),
        ("429 date", 0.0, 2.0),
        ("429 reset", 0.04, 0.04),
        ("503 retry-after", 1.0, 1.0),
    ],
)
def test_a_time_that_the_service_names_is_for_everybody(fault: str, low: float, high: float) -> None:
    with FakeProvider(faults=[fault]) as provider:
        exchange = ask(provider)
    assert exchange.retry_after is not None
    assert low <= exchange.retry_after <= high
    assert exchange.everybody
    assert not exchange.failure


@pytest.mark.parametrize("fault", ["401", "403"])
def test_a_key_that_the_service_repeats_is_in_nothing_that_is_kept(fault: str) -> None:
    with FakeProvider(faults=[fault]) as provider:
        exchange = ask(provider)
    assert KEY in provider.seen[0].headers["authorization"]
    assert KEY not in repr(exchange)
    assert "[concealed]" in exchange.message
    assert KEY not in repr(config(provider))


def test_connections_are_kept_and_a_broken_one_is_not_used_again() -> None:
    with FakeProvider(faults=["reset"]) as provider:
        client = Client(config(provider))
        outcomes = [client.send(question(str(n)), time.monotonic() + 10, "").outcome for n in range(3)]
        client.close()
    assert outcomes == ["unknown", "answered", "answered"]


def test_an_idempotency_key_is_sent_where_the_provider_has_a_header_for_it() -> None:
    with FakeProvider(honours_keys=True) as provider:
        ask(provider)
        first = ask(provider, idempotency_header="Idempotency-Key")
        second = ask(provider, idempotency_header="Idempotency-Key")
    assert "idempotency-key" not in provider.seen[0].headers
    assert provider.seen[1].headers["idempotency-key"] == "key/1"
    assert first.text == second.text
    assert len(provider.paid) == 2


# Services that are no models


def test_a_service_is_asked_by_method_path_query_headers_and_body() -> None:
    request = Request(
        "crm", Http(method="PUT", path="/score/a%2Fb", query={"q": "ä b"}, headers={"X-One": "1"}, json={"a": [1]})
    )
    with FakeProvider(answer=lambda _: {"score": 3}) as provider:
        exchange = ask(provider, request, kind="http", headers={"X-Token": KEY}, allow_private=True)
    (asked,) = provider.seen
    assert exchange.outcome == "answered"
    assert exchange.body == '{"score": 3}'
    assert (asked.method, asked.target) == ("PUT", "/score/a%2Fb?q=%C3%A4+b")
    assert (asked.headers["x-one"], asked.headers["x-token"]) == ("1", KEY)
    assert asked.body == {"a": [1]}


def test_a_form_is_sent_as_one() -> None:
    with FakeProvider(answer=lambda _: {}) as provider:
        ask(provider, Request("crm", Http(method="POST", form={"a": "b c"})), kind="http", allow_private=True)
    assert provider.seen[0].raw == b"a=b+c"
    assert provider.seen[0].headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("fault", "more", "outcome"),
    [
        ("403", {}, "refused"),  # may be a row's answer
        ("401", {}, "stop"),
        ("404", {"success": (200, 404)}, "answered"),
        ("404", {}, "refused"),
        ("503", {}, "retry_later"),
        ("503", {"retry_statuses": ()}, "refused"),
        ("404", {"retry_statuses": (404,)}, "retry_later"),
        (None, {"max_body_bytes": 3}, "refused"),
    ],
)
def test_the_request_says_what_a_status_means(fault: str | None, more: dict[str, Any], outcome: str) -> None:
    with FakeProvider(faults=[fault] if fault else [], answer=lambda _: {"score": 3}) as provider:
        exchange = ask(provider, Request("crm", Http(method="GET", **more)), kind="http", allow_private=True)
    assert exchange.outcome == outcome, exchange


def test_private_addresses_are_refused_unless_they_are_wanted() -> None:
    with FakeProvider() as provider:
        exchange = ask(provider, Request("crm", Http(method="GET")), kind="http")
    assert (exchange.outcome, exchange.reason) == ("refused", "private_address")
    assert "127.0.0.1" in exchange.message
    assert provider.seen == []


def test_a_host_that_is_not_allowed_is_not_asked() -> None:
    with FakeProvider() as provider:
        exchange = ask(provider, allow_hosts=("api.example.org",))
    assert (exchange.outcome, exchange.reason) == ("refused", "host_not_allowed")
    assert provider.seen == []
