"""What the settings say of services, as every process of a run is told: accounts, their limits, the budget."""

from __future__ import annotations

import msgspec

from elspeth.calls.config import ProviderConfig
from elspeth.calls.limits.account import Limits
from elspeth.calls.limits.budget import Budget


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The services of a run. `limits` is by provider; one that is not named has none. `max_tries` is for each call."""

    providers: tuple[ProviderConfig, ...] = ()
    limits: dict[str, Limits] = {}
    budget: Budget = Budget()
    max_tries: int = 3
