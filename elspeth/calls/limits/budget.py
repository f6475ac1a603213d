"""What a run may spend: reserved by an estimate before a call is sent, settled by what it came to."""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec

Verdict = Literal["granted", "wait", "exhausted"]


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """The settings' `budget`; None is no limit. `currency` is a word for people: all prices are in it."""

    max_cost: Decimal | None = None
    max_calls: int | None = None
    warn_at: float = 0.8
    currency: str = ""


class Spend(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has spent, and what calls that are out may come to. Part of the checkpoint.

    A call that is out when everything dies stays reserved: it may have been carried out.
    """

    cost: Decimal = Decimal(0)
    calls: int = 0
    reserved: Decimal = Decimal(0)
    out: int = 0

    def verdict(self, budget: Budget, expected: Decimal) -> Verdict:
        """Whether a call that may cost `expected` may be sent: now, perhaps when others are settled, or no more.

        The last of a budget is not left over for an estimate that is larger than what is left: without a call that is
        out, whatever is still there is enough for one that is expected to keep within it.
        """
        calls_left = budget.max_calls is None or self.calls + self.out < budget.max_calls
        cost_left = budget.max_cost is None or self.cost + self.reserved + expected <= budget.max_cost
        if calls_left and cost_left:
            return "granted"
        return "wait" if self.out else "exhausted"

    def reserve(self, expected: Decimal) -> Spend:
        """After a call was granted."""
        return msgspec.structs.replace(self, reserved=self.reserved + expected, out=self.out + 1)

    def settle(self, expected: Decimal, cost: Decimal) -> Spend:
        """After a call that had `expected` reserved came to `cost`; of one that is `unknown`, that is its estimate."""
        return msgspec.structs.replace(
            self,
            cost=self.cost + cost,
            calls=self.calls + 1,
            reserved=self.reserved - expected,
            out=self.out - 1,
        )

    def released(self, expected: Decimal) -> Spend:
        """After a call that had `expected` reserved turned out not to have been sent."""
        return msgspec.structs.replace(self, reserved=self.reserved - expected, out=self.out - 1)

    def share(self, budget: Budget) -> float:
        """How much of the budget is spent, of whichever limit is nearer: 0 to 1, or more where an answer cost more."""
        of_cost = float(self.cost / budget.max_cost) if budget.max_cost else 0.0
        of_calls = self.calls / budget.max_calls if budget.max_calls else 0.0
        return max(of_cost, of_calls)

    def warns(self, budget: Budget, before: Spend) -> bool:
        """Whether this, and not `before`, has reached the share at which the user is told."""
        return before.share(budget) < budget.warn_at <= self.share(budget)
