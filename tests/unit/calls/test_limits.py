"""Over any minute no more than allowed, whoever asks; pauses and outages hold for everybody."""

from __future__ import annotations

from decimal import Decimal
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elspeth.calls.limits.account import Account, Ended, Limits
from elspeth.calls.limits.breaker import FIRST_PROBE_SECONDS, IN_A_ROW, LAST_PROBE_SECONDS, Breaker
from elspeth.calls.limits.budget import Budget, Spend
from elspeth.calls.limits.retry import after, delay, on_unknown
from elspeth.calls.limits.window import Window
from elspeth.calls.model import Chat, Exchange, Http, Message, Request
from tests.unit.calls.simulated_account import Simulation


@pytest.mark.parametrize("workers", [1, 2, 4])
@given(per_minute=st.integers(1, 900), callers=st.integers(1, 20), seed=st.integers(0, 10**6))
@settings(max_examples=15)
def test_over_any_minute_no_more_requests_arrive_than_allowed(
    workers: int, per_minute: int, callers: int, seed: int
) -> None:
    simulation = Simulation(Limits(requests_per_minute=per_minute), seed=seed)
    seen = simulation.run(workers=workers, callers=callers, seconds=150.0)
    assert seen.most_in_a_minute()[0] <= per_minute


@pytest.mark.parametrize("workers", [1, 2, 4])
@given(per_minute=st.integers(100, 100_000), share=st.floats(0.01, 1.0), seed=st.integers(0, 10**6))
@settings(max_examples=15)
def test_over_any_minute_no_more_tokens_arrive_than_allowed(
    workers: int, per_minute: int, share: float, seed: int
) -> None:
    largest = max(int(per_minute * share), 1)
    simulation = Simulation(Limits(tokens_per_minute=per_minute), seed=seed, largest=largest)
    seen = simulation.run(workers=workers, callers=5, seconds=200.0)
    assert seen.most_in_a_minute()[1] <= per_minute


def test_what_is_allowed_is_used() -> None:
    seen = Simulation(Limits(requests_per_minute=600), seed=1).run(workers=4, callers=5, seconds=300.0)
    assert len(seen.arrived) >= 0.95 * 3000
    assert seen.waits == {"requests"}


def test_a_minute_is_not_spent_in_its_first_seconds() -> None:
    seen = Simulation(Limits(requests_per_minute=600), seed=1, on_the_way=0.0).run(workers=4, callers=50, seconds=5.0)
    assert len(seen.arrived) <= 600 / 60 * (5 + 2) + 1


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_no_more_are_out_at_once_than_allowed(workers: int) -> None:
    seen = Simulation(Limits(max_concurrent=7), seed=2).run(workers=workers, callers=20, seconds=15.0)
    assert seen.most_out == 7


def test_an_amount_beyond_the_limit_waits_until_it_is_alone() -> None:
    window = Window().granted(10, now=0.0)
    assert 60.0 <= window.wait(100, 1000, now=1.0) <= 62.0
    assert Window().wait(100, 1000, now=1.0) == 0.0


def test_an_answer_that_took_fewer_tokens_than_expected_makes_room() -> None:
    window = Window().granted(100, now=0.0)
    assert window.wait(100, 50, now=1.0) > 0
    assert window.settled(100, 10, granted_at=0.0, now=1.0).wait(100, 50, now=1.0) == 0.0


# A pause


def asked(account: Account, limits: Limits, now: float) -> Account:
    account, grant = account.ask(limits, 0, now)
    assert grant.wait == 0.0, grant
    return account


def ended(account: Account, limits: Limits, now: float, **how: object) -> Account:
    _, grant = Account().ask(Limits(), 0, now)
    return account.ended(limits, Ended(grant=grant, **how), now)


def test_a_refusal_for_haste_pauses_everybody_for_as_long_as_the_service_says() -> None:
    limits = Limits()
    account = asked(asked(Account(), limits, 0.0), limits, 0.0)
    account = ended(account, limits, 1.0, hasty=True, retry_after=7.0)
    assert account.ask(limits, 0, 1.0)[1].wait == 7.0
    assert account.ask(limits, 0, 1.0)[1].why == "paused"
    assert account.ask(limits, 0, 8.0)[1].wait == 0.0


def test_of_two_times_the_service_named_the_later_one_holds() -> None:
    account = ended(Account(out=2), Limits(), 1.0, hasty=True, retry_after=9.0)
    account = ended(account, Limits(), 2.0, hasty=True, retry_after=1.0)
    assert account.ask(Limits(), 0, 2.0)[1].wait == 8.0


def test_pauses_without_a_time_double_but_not_for_calls_that_were_out_already() -> None:
    account, limits, now, waits = Account(), Limits(), 0.0, []
    for _ in range(8):
        account = asked(asked(account, limits, now), limits, now)
        account = ended(ended(account, limits, now, hasty=True), limits, now, hasty=True)
        waits.append(account.ask(limits, 0, now)[1].wait)
        now += waits[-1]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_an_adaptive_account_halves_what_is_out_and_grows_again() -> None:
    limits = Limits(adaptive=True, max_concurrent=16)
    account = Account()
    for _ in range(16):
        account = asked(account, limits, 0.0)
    account = ended(account, limits, 1.0, hasty=True, retry_after=1.0)
    assert account.allowance == 8.0
    account = Account(allowance=account.allowance)
    for _ in range(8):
        account = asked(account, limits, 9.0)
    assert account.ask(limits, 0, 9.0)[1].why == "concurrent"
    for _ in range(8):
        account = ended(account, limits, 10.0)
    assert account.allowance is not None
    assert 8.5 < account.allowance <= 9.0


# The breaker


def test_twenty_failures_in_a_row_open_the_breaker() -> None:
    breaker = Breaker()
    for number in range(IN_A_ROW - 1):
        breaker = breaker.failed(number * 40.0)  # too far apart for a share
    assert not breaker.open
    assert breaker.failed(IN_A_ROW * 40.0).open


def test_more_than_half_of_thirty_seconds_open_the_breaker() -> None:
    breaker = Breaker()
    for number in range(5):
        breaker = breaker.succeeded(float(number)).failed(float(number))
    assert not breaker.open  # half
    assert breaker.failed(5.0).open


def test_what_failed_longer_ago_is_forgotten() -> None:
    breaker = Breaker()
    for _ in range(9):
        breaker = breaker.failed(0.0)
    assert not breaker.succeeded(31.0).failed(31.0).failed(31.0).failed(31.0).open


def opened() -> Breaker:
    breaker = Breaker()
    for _ in range(IN_A_ROW):
        breaker = breaker.failed(0.0)
    return breaker


def test_one_probe_goes_out_at_a_time_and_later_each_time() -> None:
    breaker, now, waits = opened(), 0.0, []
    for _ in range(6):
        waits.append(breaker.wait(now))
        now += waits[-1]
        breaker = breaker.sent()
        assert breaker.wait(now) > 0  # the probe is out
        breaker = breaker.failed(now)
    assert waits == [5, 10, 20, 40, 60, 60]
    assert (FIRST_PROBE_SECONDS, LAST_PROBE_SECONDS) == (5.0, 60.0)


def test_a_probe_that_is_answered_closes_the_breaker() -> None:
    breaker = opened().sent().succeeded(6.0)
    assert not breaker.open
    assert breaker.wait(6.0) == 0.0


def test_a_probe_whose_process_died_is_followed_by_another() -> None:
    breaker = opened().sent().abandoned(6.0)
    assert breaker.wait(6.0) == FIRST_PROBE_SECONDS


def test_an_outage_is_as_old_as_its_first_failure() -> None:
    account, limits = Account(), Limits()
    for number in range(30):
        account = ended(Account(**{**_fields(account), "out": 1}), limits, 100.0 + number, failure=True)
    assert account.breaker.open
    assert account.down_for(700.0) == 600.0
    assert ended(Account(**{**_fields(account), "out": 1}), limits, 700.0).down_for(701.0) == 0.0


def test_an_account_that_refuses_everything_for_haste_is_down_too() -> None:
    account = ended(Account(out=1), Limits(), 0.0, hasty=True, retry_after=60.0)
    assert ended(Account(**{**_fields(account), "out": 1}), Limits(), 60.0, hasty=True).down_for(100.0) == 100.0


def _fields(account: Account) -> dict[str, object]:
    return {name: getattr(account, name) for name in account.__struct_fields__}


# The budget


def test_a_budget_grants_what_keeps_within_it_with_all_that_is_out() -> None:
    budget = Budget(max_cost=Decimal(1))
    spend = Spend().reserve(Decimal("0.6"))
    assert spend.verdict(budget, Decimal("0.5")) == "wait"
    assert spend.verdict(budget, Decimal("0.4")) == "granted"
    assert spend.settle(Decimal("0.6"), Decimal("0.1")).verdict(budget, Decimal("0.5")) == "granted"
    assert spend.settle(Decimal("0.6"), Decimal("0.6")).verdict(budget, Decimal("0.5")) == "exhausted"


def test_calls_are_counted_while_they_are_out() -> None:
    budget = Budget(max_calls=2)
    spend = Spend().reserve(Decimal(0)).reserve(Decimal(0))
    assert spend.verdict(budget, Decimal(0)) == "wait"
    assert spend.released(Decimal(0)).verdict(budget, Decimal(0)) == "granted"
    spend = spend.settle(Decimal(0), Decimal(0)).settle(Decimal(0), Decimal(0))
    assert spend.verdict(budget, Decimal(0)) == "exhausted"


@given(
    costs=st.lists(st.tuples(st.decimals(0, 1, places=4), st.decimals(0, 1, places=4)), max_size=60),
    limit=st.decimals(0, 5, places=2),
)
def test_a_budget_is_never_passed_by_calls_that_keep_to_their_estimates(
    costs: list[tuple[Decimal, Decimal]], limit: Decimal
) -> None:
    budget, spend, out = Budget(max_cost=limit), Spend(), []
    for expected, share in costs:
        if spend.verdict(budget, expected) == "granted":
            spend = spend.reserve(expected)
            out.append((expected, expected * share))
        elif out:
            spend = spend.settle(*out.pop(0))
        assert spend.cost + spend.reserved <= limit
    for expected, cost in out:
        spend = spend.settle(expected, cost)
    assert (spend.reserved, spend.out) == (0, 0)


def test_the_user_is_told_once_when_the_share_is_reached() -> None:
    budget, spend, told = Budget(max_cost=Decimal(10), max_calls=1000, warn_at=0.8), Spend(), []
    for _ in range(10):
        before, spend = spend, spend.reserve(Decimal(1)).settle(Decimal(1), Decimal(1))
        told.append(spend.warns(budget, before))
    assert told == [False] * 7 + [True] + [False] * 2


# What follows a try


def exchange(outcome: str, **more: object) -> Exchange:
    return Exchange(outcome=outcome, **more)


@pytest.mark.parametrize(
    ("outcome", "tries", "more", "expected"),
    [
        ("answered", 1, {}, "answer"),
        ("refused", 1, {}, "fail"),
        ("stop", 1, {}, "stop"),
        ("retry_later", 4, {}, "again"),
        ("retry_later", 5, {}, "fail"),
        ("retry_later", 500, {"everybody": True}, "again"),
        ("never_sent", 500, {}, "again"),
        ("unknown", 4, {}, "again"),
        ("unknown", 5, {}, "fail"),
    ],
)
def test_what_follows_a_try(outcome: str, tries: int, more: dict[str, object], expected: str) -> None:
    assert after(exchange(outcome, **more), tries, 5, "retry") == expected


def test_what_nobody_knows_is_not_asked_again_where_it_may_harm() -> None:
    post = Request("crm", Http(method="POST"))
    assert on_unknown(post, None, None) == "fail"
    assert on_unknown(post, None, "Idempotency-Key") == "retry"
    assert on_unknown(post, "retry", None) == "retry"
    assert on_unknown(Request("crm", Http(method="PUT")), None, None) == "retry"
    chat = Request("main", Chat(model="m", messages=(Message("user", "x"),)))
    assert on_unknown(chat, None, None) == "retry"
    assert on_unknown(chat, "fail", "Idempotency-Key") == "fail"
    assert after(exchange("unknown"), 1, 5, "fail") == "fail"


@given(tries=st.integers(1, 100), seed=st.integers(0, 100))
def test_delays_double_up_to_a_minute_and_half_of_each_is_chance(tries: int, seed: int) -> None:
    longest = min(2.0 ** (tries - 1), 60.0)
    assert longest / 2 <= delay(exchange("retry_later"), tries, Random(seed)) <= longest


@given(asked=st.floats(0, 1000), seed=st.integers(0, 100))
def test_a_service_is_not_asked_before_the_time_it_named(asked: float, seed: int) -> None:
    found = delay(exchange("retry_later", retry_after=asked), 1, Random(seed))
    assert asked <= found <= asked + 1
