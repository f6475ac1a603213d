"""What is sent to a service about a row, and what is taken from its answer."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest

from elspeth.errors import SettingsError
from elspeth.plugins import registry
from elspeth.plugins.contract import RowError
from elspeth.plugins.options import OptionProblems
from elspeth.plugins.transforms.http import Http
from tests.kit.provider.asking import AskingContext, Stopped
from tests.kit.provider.server import FakeProvider

ROW = {"id": "a/b", "n": 3, "text": "ä"}


def step(**options: Any) -> Http:
    plugin = registry.build(Http, {"provider": "crm", **options}, "http")
    assert isinstance(plugin, Http)
    plugin.check_references()
    return plugin


def ask(provider: FakeProvider, row: dict[str, Any] | None = None, **options: Any) -> dict[str, Any]:
    context = AskingContext(provider, kind="http", idempotency_header=options.pop("idempotency_header", None))
    try:
        result = step(**options).process(dict(row or ROW), context)
        assert isinstance(result, dict)
        return result
    finally:
        context.client.close()


def test_a_request_is_made_of_the_row() -> None:
    with FakeProvider(answer=lambda _: {"score": {"value": 7, "of": [1, 2]}}) as provider:
        found = ask(
            provider, method="POST", path="/score/{{ row.id }}", query={"q": "{{ row.text }}"},
            headers={"X-Row": "n{{ row.n }}"}, json={"n": "{{ row.n }}", "t": ["say {{ row.text }}", 1, None]},
            output={"fields": {"score": "body.score.value", "of": "body.score.of.1", "code": "status",
                               "kind": "headers.Content-Type"}, "raw": "raw"},
        )  # fmt: skip
    (asked,) = provider.seen
    assert (asked.method, asked.target) == ("POST", "/score/a%2Fb?q=%C3%A4")
    assert asked.headers["x-row"] == "n3"
    assert asked.body == {"n": 3, "t": ["say ä", 1, None]}
    assert {key: found[key] for key in ("score", "of", "code", "kind")} == {
        "score": 7, "of": 2, "code": 200, "kind": "application/json",
    }  # fmt: skip
    assert found["raw"].startswith('{"score"')


def test_a_form_is_filled_in() -> None:
    with FakeProvider(answer=lambda _: {}) as provider:
        ask(provider, method="POST", form={"a": "{{ row.text }}&"})
    assert provider.seen[0].raw == b"a=%C3%A4%26"


@pytest.mark.parametrize("value", ["..", "."])
def test_a_row_cannot_lead_the_path_elsewhere(value: str) -> None:
    with FakeProvider() as provider, pytest.raises(RowError, match="leads elsewhere"):
        ask(provider, {"id": value}, path="/score/{{ row.id }}/x")
    assert provider.seen == []


def test_a_row_cannot_put_a_header_behind_another() -> None:
    with FakeProvider() as provider, pytest.raises(RowError, match="cannot be sent"):
        ask(provider, {"id": "a\r\nX-Admin: 1"}, headers={"X-Row": "{{ row.id }}"})
    assert provider.seen == []


@pytest.mark.parametrize(
    ("fault", "options", "why"),
    [
        ("404", {}, "refused"),
        ("403", {}, "refused"),
        ("422", {}, "refused"),
        ("redirect", {}, "redirected"),
        (None, {"output": {"fields": {"a": "body.b"}}}, "missing"),
        (None, {"max_body_bytes": 2}, "too_large"),
        ("wrong type", {"output": {"fields": {"a": "body.b"}}}, None),
    ],
)
def test_what_is_no_answer_is_the_rows_error(fault: str | None, options: dict[str, Any], why: str | None) -> None:
    faults = [] if fault is None or why is None else [fault]
    answer: Any = (lambda _: {"c": 1}) if why else (lambda _: "text")
    with FakeProvider(faults=faults, answer=answer) as provider, pytest.raises(RowError) as raised:
        ask(provider, **options)
    assert raised.value.details["why"] == (why or "missing")


def test_a_refusal_of_the_credentials_stops_the_run() -> None:
    with FakeProvider(faults=["401"]) as provider, pytest.raises(Stopped):
        ask(provider)


@pytest.mark.parametrize(
    ("method", "options", "times"),
    [
        ("GET", {}, 2),
        ("PUT", {}, 2),
        ("POST", {}, 1),
        ("POST", {"idempotency_header": "Idempotency-Key"}, 2),
        ("POST", {"on_unknown": "retry"}, 2),
        ("GET", {"on_unknown": "fail"}, 1),
    ],
)
def test_what_may_have_been_carried_out_is_asked_again_only_where_that_is_harmless(
    method: str, options: dict[str, Any], times: int
) -> None:
    with FakeProvider(faults=["drop"], answer=lambda _: {}) as provider, suppress(RowError):
        ask(provider, method=method, **options)
    assert len(provider.seen) == times


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"json": {}, "form": {}}, "two bodies"),
        ({"json": {"a": 1}}, "a GET has no body"),
        ({"method": "TRACE"}, "allowed is"),
        ({"success": [200, 503]}, "503 stands in"),
        ({"headers": {"Host": "x"}}, "cannot be set"),
        ({"headers": {"a b": "x"}}, "cannot be set"),
        ({"output": {"fields": {"a": "score"}}}, "begins with none of"),
        ({"path": "/{{ row.id"}, "is no template"),
        ({"path": "/{{ id }}"}, "nothing of this name"),
        ({"query": {"a": "{{ 'x' * 10**9 }}"}}, "more than"),
        ({"success": [1000]}, "less than or equal to 599"),
    ],
)
def test_each_wrong_option_is_named_before_a_run(options: dict[str, Any], words: str) -> None:
    with pytest.raises((OptionProblems, SettingsError)) as raised:
        step(**options)
    assert words in "\n".join((raised.value.message, *raised.value.details))


def test_a_step_knows_the_fields_before_and_behind_it() -> None:
    plugin = step(method="POST", path="/{{ row.id }}", json={"a": "{{ row.n }}"}, output={"fields": {"s": "body.s"}})
    assert plugin.fields_in() == {"id", "n"}
    assert plugin.fields_out(frozenset({"id", "n"})) == {"id", "n", "s"}
