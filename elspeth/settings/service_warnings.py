"""What is said of services that can be asked, and perhaps not as their user thinks."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from elspeth.settings.model import Settings
from elspeth.settings.problems import Positions, Problem
from elspeth.settings.services import RateLimit

_HERE = ("localhost", "127.0.0.1", "::1")


def warnings(settings: Settings, positions: Positions) -> Iterator[Problem]:
    """A line for each provider that is reached unsafely, and for limits that hold for nothing."""
    for name, provider in settings.providers.items():
        if provider.verify is False:
            yield positions.problem(("providers", name, "verify"), "certificates are not checked: anybody on the way "
                                    "can read and change what is sent")  # fmt: skip
        parts = urlsplit(provider.url)
        if parts.scheme == "http" and parts.hostname not in _HERE and (provider.api_key or provider.headers):
            yield positions.problem(("providers", name), "is asked by http: its credentials travel unencrypted")
    limits = settings.rate_limit
    if not settings.providers:
        if limits != RateLimit():
            yield positions.problem(("rate_limit",), "has no effect: there are no `providers`")
        if settings.budget.max_cost is not None or settings.budget.max_calls is not None:
            yield positions.problem(("budget",), "has no effect: there are no `providers`")
        return
    for name in limits.services:
        if name not in settings.providers:
            yield positions.problem(("rate_limit", "services", name), "has no effect: no provider has this name",
                                    allowed=", ".join(settings.providers))  # fmt: skip
