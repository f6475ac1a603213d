"""Leave to send calls: one state for all workers; pauses, outages and the budget hold for every one of them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from elspeth.calls.config import ProviderConfig
from elspeth.calls.limits.account import Limits
from elspeth.calls.limits.budget import Budget
from elspeth.calls.services import Services
from elspeth.calls.totals import CallTotals
from elspeth.coordinator import events as ev
from elspeth.coordinator.leases import Leases
from elspeth.coordinator.protocol import LeaseAsked, LeaseEnded, LeaseGranted, LeaseRefused
from elspeth.errors import PersonNeeded

NOTHING: dict[str, CallTotals] = {}


class Desk:
    """Leases, with a clock, and what was granted and refused so far."""

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        budget: Budget | None = None,
        before: dict[str, CallTotals] = NOTHING,
        left_behind: CallTotals = CallTotals(),  # noqa: B008 - frozen
    ) -> None:
        names = ("main", "other")
        self.now = 1000.0
        self.said: list[str] = []
        self.granted: list[tuple[str, int]] = []
        self.refused: list[tuple[str, int, Any]] = []
        services = Services(
            providers=tuple(ProviderConfig(name=name, kind="openai", base_url="http://x") for name in names),
            limits={"main": limits or Limits()},
            budget=budget or Budget(),
        )
        self.leases = Leases(services, "mf3k2a9x", before, left_behind, self.said.append)
        self.number = 0

    def obey(self, commands: list[ev.Command]) -> None:
        for command in commands:
            assert isinstance(command, ev.Send)
            match command.message:
                case LeaseGranted(number):
                    self.granted.append((command.child, number))
                case LeaseRefused(number, error):
                    self.refused.append((command.child, number, error))

    def ask(self, child: str, cost: str = "1", provider: str = "main") -> int:
        self.number += 1
        self.obey(self.leases.asked(child, LeaseAsked(self.number, provider, 10, Decimal(cost)), self.now))
        return self.number

    def end(self, child: str, number: int, cost: str = "1", **facts: Any) -> None:
        self.obey(self.leases.ended(child, LeaseEnded(number, Decimal(cost), **facts), self.now))

    def after(self, seconds: float) -> None:
        self.now += seconds
        self.obey(self.leases.move(self.now))


def test_what_may_be_sent_is_granted_at_once() -> None:
    desk = Desk()
    assert desk.ask("worker-1") == 1
    assert desk.granted == [("worker-1", 1)]


def test_as_many_are_out_as_the_account_allows_whoever_has_them_and_in_the_order_of_asking() -> None:
    desk = Desk(limits=Limits(max_concurrent=2))
    for child in ("worker-1", "worker-2", "worker-1", "worker-2"):
        desk.ask(child)
    assert desk.granted == [("worker-1", 1), ("worker-2", 2)]
    desk.end("worker-2", 2)
    assert desk.granted[2:] == [("worker-1", 3)]
    desk.end("worker-1", 1)
    assert desk.granted[3:] == [("worker-2", 4)]


def test_what_calls_wait_for_is_told_by_provider_and_only_where_some_wait() -> None:
    desk = Desk(limits=Limits(max_concurrent=1))
    desk.ask("worker-1")
    assert desk.leases.held(desk.now) == []
    desk.ask("worker-1")  # this one waits, and no other
    assert [(held.provider, held.why) for held in desk.leases.held(desk.now)] == [("main", "concurrent")]


def test_one_provider_does_not_wait_for_another() -> None:
    desk = Desk(limits=Limits(max_concurrent=1))
    desk.ask("worker-1")
    desk.ask("worker-1")
    desk.ask("worker-2", provider="other")
    assert desk.granted == [("worker-1", 1), ("worker-2", 3)]


def test_a_pause_is_for_everybody_and_said() -> None:
    desk = Desk()
    first = desk.ask("worker-1")
    desk.end("worker-1", first, hasty=True, retry_after=7.0)
    desk.ask("worker-2")
    assert desk.granted == [("worker-1", 1)]
    assert desk.said == ["provider main asked for a pause: 1 call waits, and no row is spent"]
    desk.after(6.9)
    assert len(desk.granted) == 1
    desk.after(0.2)
    assert desk.granted[1:] == [("worker-2", 2)]
    assert desk.said[1:] == ["provider main is asked again"]


def test_a_worker_that_dies_gives_back_its_places_and_what_it_had_out_counts_at_its_estimate() -> None:
    desk = Desk(limits=Limits(max_concurrent=1), budget=Budget(max_cost=Decimal(100)))
    desk.ask("worker-1", "3")
    desk.ask("worker-1")
    desk.ask("worker-2")
    desk.obey(desk.leases.gone("worker-1", desk.now))
    assert desk.granted == [("worker-1", 1), ("worker-2", 3)]
    assert (desk.leases.spend.cost, desk.leases.spend.calls) == (3, 1)
    desk.end("worker-1", 1)  # said before it died, and late
    assert desk.leases.spend.calls == 1


def test_a_call_that_never_left_costs_nothing() -> None:
    desk = Desk()
    desk.end("worker-1", desk.ask("worker-1", "3"), "0", sent=False, failure=True)
    assert (desk.leases.spend.cost, desk.leases.spend.calls, desk.leases.spend.out) == (0, 0, 0)


def test_the_budget_is_warned_of_and_then_spent_and_nobody_sends_any_more() -> None:
    desk = Desk(budget=Budget(max_cost=Decimal(10), currency="EUR"))
    desk.end("worker-1", desk.ask("worker-1", "5"), "8")
    assert desk.said == ["80% of the budget is spent: 8.00 of 10 EUR"]
    number = desk.ask("worker-1", "2")
    desk.ask("worker-2", "2")
    assert desk.refused == []  # the first may come to less
    desk.end("worker-1", number, "2")
    [(child, _, error)] = desk.refused
    assert child == "worker-2"
    assert error["kind"] == "PersonNeeded"
    assert error["message"] == "the budget is spent: 10.00 of 10 EUR"
    assert "elspeth resume mf3k2a9x --set budget.max_cost=" in error["next_step"]
    desk.ask("worker-1", "0")
    assert len(desk.refused) == 2


def test_what_is_committed_and_what_an_earlier_attempt_paid_is_part_of_the_budget() -> None:
    before = {"main": CallTotals(exchanges=3, cost=Decimal(4)), "my own client": CallTotals(exchanges=9)}
    desk = Desk(budget=Budget(max_calls=6), before=before, left_behind=CallTotals(exchanges=2, cost=Decimal(3)))
    assert (desk.leases.spend.calls, desk.leases.spend.cost) == (5, 7)
    desk.ask("worker-1")
    desk.ask("worker-2")
    desk.end("worker-1", 1)
    assert [child for child, *_ in desk.refused] == ["worker-2"]


def test_rows_wait_for_a_provider_that_is_down_and_then_the_run_gives_way() -> None:
    desk = Desk()
    while not desk.said:
        desk.now += 0.1
        number = desk.ask("worker-1")
        if (("worker-1", number)) in desk.granted:
            desk.end("worker-1", number, "0", failure=True)
    assert desk.said[0].startswith("provider main does not answer: ")
    waiting = number
    for _ in range(700):
        desk.after(1.0)
        for child, granted in desk.granted[-1:]:
            if granted == waiting:  # the probe
                desk.end(child, granted, "0", failure=True)
                waiting = desk.ask("worker-1")
    assert [error["kind"] for *_, error in desk.refused] == ["Temporary"] * len(desk.refused)
    assert desk.refused
    assert "provider main has answered nothing for 6" in desk.refused[0][2]["message"]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_over_any_minute_no_more_is_sent_than_allowed_with_any_number_of_workers(workers: int) -> None:
    desk = Desk(limits=Limits(requests_per_minute=60))
    times: list[float] = []
    out: list[tuple[str, int]] = []
    for step in range(3000):
        if step < 200:
            desk.ask(f"worker-{step % workers + 1}")
        desk.after(0.1)
        for each in desk.granted:
            times.append(desk.now)
            out.append(each)
        desk.granted.clear()
        for child, number in out:
            desk.end(child, number)
        out.clear()
    assert len(times) == 200
    assert max(sum(begin <= time < begin + 60 for time in times) for begin in times) <= 60


def test_a_service_that_refuses_the_account_is_asked_by_nobody_any_more() -> None:
    desk = Desk(limits=Limits(max_concurrent=1))
    number = desk.ask("worker-1")
    desk.ask("worker-2")
    desk.end("worker-1", number, "0", stops=PersonNeeded("no such key").to_value())
    desk.ask("worker-1", provider="other")
    assert desk.granted == [("worker-1", number)]
    assert [(child, error["message"]) for child, _, error in desk.refused] == [
        ("worker-2", "no such key"), ("worker-1", "no such key")
    ]  # fmt: skip
