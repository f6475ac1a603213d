"""What calls came to is added up number by number, by provider and over all."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from elspeth.calls.model import Exchange, Usage
from elspeth.calls.totals import CallTotals, Totals, add, whole

ONE = CallTotals(1, 2, 3, 4, 5, Decimal("0.6"))
OTHER = CallTotals(10, 20, 30, 40, 50, Decimal("6.0"))
BOTH = CallTotals(11, 22, 33, 44, 55, Decimal("6.6"))


def test_totals_are_added_number_by_number() -> None:
    assert ONE + OTHER == BOTH
    assert whole([ONE, OTHER]) == BOTH
    assert whole([]) == CallTotals()
    totals: Totals = {"main": ONE}
    add(totals, {"main": OTHER, "other": ONE})
    assert totals == {"main": BOTH, "other": ONE}


@pytest.mark.parametrize(
    ("outcome", "answered", "unknown"), [("answered", 1, 0), ("unknown", 0, 1), ("retry_later", 0, 0)]
)
def test_an_exchange_counts_once_and_as_what_it_was(outcome: Any, answered: int, unknown: int) -> None:
    exchange = Exchange(outcome=outcome, usage=Usage(input_tokens=7, output_tokens=9))
    assert CallTotals.of(exchange, Decimal(2)) == CallTotals(1, answered, unknown, 7, 9, Decimal(2))
    assert CallTotals.of(Exchange(outcome=outcome), Decimal(0)) == CallTotals(1, answered, unknown)


def test_of_an_exchange_that_nobody_knows_the_end_of_only_the_cost_is_known() -> None:
    assert CallTotals.of(None, Decimal(2)) == CallTotals(1, 0, 1, 0, 0, Decimal(2))
