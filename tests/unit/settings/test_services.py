"""What a file says of services is checked as a whole, and its credentials are stored nowhere."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from elspeth.calls.limits.account import Limits
from elspeth.settings import SettingsProblems, load_stored
from elspeth.settings.compare import apply_set, difference, settings_hash
from elspeth.settings.effective import as_stored

BASE = "source: {plugin: csv, options: {path: in.csv}}\nsinks: {out: {plugin: json, options: {path: o.json}}}\n"
MAIN = BASE + "providers: {main: {kind: openai, api_key: '${KEY}'}}\n"
KEY = "sk-0123456789abcdef"


def problems(loaded: Callable[..., Any], text: str) -> dict[str, str]:
    with pytest.raises(SettingsProblems) as raised:
        loaded(text, {"KEY": KEY})
    return {problem.key: f"{problem.message}; {problem.allowed}" for problem in raised.value.problems}


@pytest.mark.parametrize(
    ("provider", "key", "words"),
    [
        ("{kind: opanai}", "kind", "openai, azure, anthropic, http"),
        ("{kind: http}", "base_url", "needs it"),
        ("{kind: azure}", "endpoint", "needs it"),
        ("{kind: azure, endpoint: 'https://a.example'}", "api_version", "needs it"),
        ("{kind: openai, endpoint: 'https://a.example'}", "endpoint", "others have base_url"),
        ("{kind: openai, deployment: d}", "deployment", "only a provider of kind azure"),
        ("{kind: openai, base_url: api.example}", "base_url", "no URL"),
        ("{kind: openai, base_url: 'ftp://api.example'}", "base_url", "no URL"),
        ("{kind: openai, base_url: 'https://[::1'}", "base_url", "no URL"),
        ("{kind: openai, base_url: 'https://api.example:port'}", "base_url", "no URL"),
        ("{kind: openai, base_url: 'https://u:${KEY}@api.example'}", "base_url", "credentials do not belong"),
        ("{kind: openai, base_url: 'https://api.example?a=1'}", "base_url", "ends before"),
        ("{kind: openai, allow_hosts: [api.example]}", "allow_hosts", "does not name api.openai.com"),
        ("{kind: http, base_url: 'https://a.example', trust_env: true}", "trust_env", "allow_private"),
        ("{kind: http, base_url: 'https://a.example', api_key: '${KEY}'}", "api_key", "headers"),
        ("{kind: openai, idempotency_header: 'a b'}", "idempotency_header", "no name of a header"),
        ("{kind: openai, headers: {'a b': x}}", "headers", "no name of a header"),
        ('{kind: openai, headers: {X-A: "a\\nb"}}', "headers", "cannot be sent"),
        ("{kind: openai, timeout_seconds: 0}", "timeout_seconds", "more than 0"),
        ("{kind: openai, api_key: sk-abc}", "api_key", "${VARIABLE}"),
        ("{kind: http, base_url: 'https://a.example', headers: {X-Api-Key: abc}}", "headers.X-Api-Key", "${VARIABLE}"),
        ("{kind: openai, base_ulr: 'https://a.example'}", "base_ulr", "unknown key"),
    ],
)
def test_each_wrong_value_of_a_provider_is_named_with_what_is_allowed(
    loaded: Callable[..., Any], provider: str, key: str, words: str
) -> None:
    found = problems(loaded, f"{BASE}providers: {{main: {provider}}}\n")
    assert words in found[f"providers.main.{key}"]


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        ("rate_limit: {other: {max_concurrent: 3}}", "rate_limit", "no provider 'other'"),
        ("rate_limit: {main: 3}", "rate_limit.main", "mapping"),
        ("rate_limit: {main: {requests_per_minute: 0}}", "rate_limit.main.requests_per_minute", "at least 1"),
        ("rate_limit: {main: {tokens_per_minute: many}}", "rate_limit.main.tokens_per_minute", "whole number"),
        ("rate_limit: {main: {tokens_per_second: 5}}", "rate_limit.main.tokens_per_second", "unknown key"),
        ("budget: {max_cost: -1}", "budget.max_cost", "at least 0"),
        ("budget: {max_cost: a lot}", "budget.max_cost", "number"),
        ("budget: {max_calls: 1.5}", "budget.max_calls", "whole number"),
        ("budget: {warn_at: 80}", "budget.warn_at", "at most 1"),
        ("budget: {max_spend: 5}", "budget.max_spend", "unknown key"),
    ],
)
def test_each_wrong_limit_is_named(loaded: Callable[..., Any], lines: str, key: str, words: str) -> None:
    assert words in problems(loaded, f"{MAIN}{lines}\n")[key]


@pytest.mark.parametrize(
    ("lines", "key", "words"),
    [
        (MAIN + "rate_limit: {services: {other: {max_concurrent: 3}}}", "rate_limit.services.other", "no provider"),
        (BASE + "budget: {max_cost: 3}", "budget", "no `providers`"),
        (BASE + "rate_limit: {default_requests_per_minute: 3}", "rate_limit", "no `providers`"),
        (MAIN.replace("api_key", "verify: false, api_key"), "providers.main.verify", "certificates are not checked"),
        (
            MAIN.replace("api_key", "base_url: 'http://model.example/v1', api_key"),
            "providers.main",
            "travel unencrypted",
        ),
    ],
)
def test_what_may_not_be_meant_is_a_line(loaded: Callable[..., Any], lines: str, key: str, words: str) -> None:
    found = {warning.key: warning.message for warning in loaded(lines, {"KEY": KEY}).warnings}
    assert words in found[key]


def test_limits_are_found_by_the_name_of_their_provider(loaded: Callable[..., Any]) -> None:
    text = BASE + (
        "providers: {a: {kind: openai}, b: {kind: openai}, c: {kind: openai}, d: {kind: openai}}\n"
        "rate_limit: {default_requests_per_minute: 9, a: {max_concurrent: 1}, services: {b: {requests_per_minute: 2},"
        " a: {max_concurrent: 7}, c: {tokens_per_minute: 5, adaptive: true}}}\n"
    )
    rates = loaded(text).settings.rate_limit
    assert rates.limits("a") == Limits(max_concurrent=1)
    assert rates.limits("b") == Limits(requests_per_minute=2)
    assert rates.limits("c") == Limits(tokens_per_minute=5, adaptive=True)
    assert rates.limits("d") == Limits(requests_per_minute=9)
    assert loaded(text.replace("{default", "{enabled: false, default")).settings.rate_limit.limits("a") == Limits()


def test_a_budget_is_the_number_that_was_written(loaded: Callable[..., Any]) -> None:
    budget = loaded(MAIN + "budget: {max_cost: 0.1, currency: EUR}", {"KEY": KEY}).settings.budget.budget()
    assert budget.max_cost == Decimal("0.1")


def test_credentials_of_providers_are_stored_by_their_variable(loaded: Callable[..., Any]) -> None:
    text = BASE + (
        "providers: {main: {kind: openai, api_key: '${KEY}'},"
        " crm: {kind: http, base_url: 'https://crm.example', headers: {token: 'T ${KEY}', X-Who: '${WHO}', X-Plain: p}}"
        "}\n"
    )
    found = loaded(text, {"KEY": KEY, "WHO": "somebody"})
    assert KEY not in found.settings_json
    assert "somebody" not in found.settings_json
    assert '"X-Plain": "p"' in found.settings_json
    assert found.settings.providers["main"].config("main").api_key == KEY
    assert found.settings.providers["crm"].config("crm").headers["token"] == f"T {KEY}"
    assert found.concealment.text(f"Bearer {KEY} of somebody") == "Bearer ${KEY} of ${WHO}"
    again = load_stored(found.settings_json, {"KEY": KEY, "WHO": "somebody"}, dotenv=False)
    assert again.settings.providers == found.settings.providers


def test_a_budget_and_limits_may_be_set_anew_on_resume(loaded: Callable[..., Any]) -> None:
    stored = loaded(MAIN + "budget: {max_cost: 1}", {"KEY": KEY}).document
    changed = apply_set(stored, ["budget.max_cost=2.5", "rate_limit.main.requests_per_minute=60"])
    assert changed["budget"]["max_cost"] == 2.5
    assert settings_hash(changed) == settings_hash(stored)
    with pytest.raises(SettingsProblems):
        apply_set(stored, ["rate_limit.other.requests_per_minute=60"])


def test_another_account_can_change_results(loaded: Callable[..., Any]) -> None:
    one = loaded(MAIN, {"KEY": KEY}).document
    other = loaded(
        MAIN.replace("kind: openai", "kind: openai, base_url: 'https://other.example'"), {"KEY": KEY}
    ).document
    assert difference(one, other) == ["providers.main.base_url"]


def test_limits_that_held_for_nothing_do_not_keep_an_old_run_from_being_resumed() -> None:
    old = {"settings_format": 2, "rate_limit": {"services": {"x": {"burst": 3}}, "anything": 5}}
    found = as_stored(old)
    assert found["rate_limit"] == {"enabled": True, "default_requests_per_minute": None, "services": {}}
    assert found["providers"] == {}
    assert json.loads(json.dumps(old))["rate_limit"]["anything"] == 5
