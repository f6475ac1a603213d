"""What calls came to, added up: per provider, for the checkpoint, the summary and the budget."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

import msgspec

from elspeth.calls.model import Exchange


class CallTotals(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Exchanges with one provider. `cost` is a decimal number, in the currency of the settings' `budget`.

    `answered` of them gave an answer; of `unknown` nobody knows whether the service carried them out.
    """

    exchanges: int = 0
    answered: int = 0
    unknown: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: Decimal = Decimal(0)

    def __add__(self, other: CallTotals) -> CallTotals:
        return CallTotals(
            self.exchanges + other.exchanges,
            self.answered + other.answered,
            self.unknown + other.unknown,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.cost + other.cost,
        )

    @classmethod
    def of(cls, exchange: Exchange | None, cost: Decimal) -> CallTotals:
        """What one exchange adds; None: nobody knows what came of it."""
        if exchange is None:
            return cls(1, unknown=1, cost=cost)
        used = exchange.usage
        return cls(
            1,
            int(exchange.outcome == "answered"),
            int(exchange.outcome == "unknown"),
            used.input_tokens if used else 0,
            used.output_tokens if used else 0,
            cost,
        )


Totals = dict[str, CallTotals]
"""By provider."""


def add(into: Totals, more: Mapping[str, CallTotals]) -> None:
    """Add to totals, in place."""
    for provider, totals in more.items():
        into[provider] = into.get(provider, CallTotals()) + totals


def whole(totals: Iterable[CallTotals]) -> CallTotals:
    """The sum over all providers."""
    return sum(totals, CallTotals())
