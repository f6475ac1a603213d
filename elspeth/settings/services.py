"""What a pipeline file says of services: accounts, how fast they may be asked, and what a run may spend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field, model_validator

from elspeth.calls.config import BASE_URLS, ProviderConfig
from elspeth.calls.limits.account import Limits
from elspeth.calls.limits.budget import Budget as BudgetLimits
from elspeth.settings.section import Name, Seconds, Section, Text, Whole, several, wrong

_HEADER = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2: a token


class Provider(Section):
    """An account of a service. A limit belongs to it, and so does whatever proves who asks."""

    kind: Literal["openai", "azure", "anthropic", "http"]
    base_url: Text | None = None
    endpoint: Text | None = None
    deployment: Text | None = None
    api_version: Text | None = None
    api_key: Text | None = None
    headers: dict[Text, str] = Field(default_factory=dict)
    timeout_seconds: Seconds = 120.0
    connect_timeout_seconds: Seconds = 10.0
    outage_seconds: Annotated[float, Field(ge=0, le=10**9)] = 600.0
    verify: bool | Text = True
    trust_env: bool = False
    allow_hosts: tuple[Text, ...] = Field(default=(), strict=False)
    allow_private: bool = False
    idempotency_header: Text | None = None

    @model_validator(mode="after")
    def _can_be_asked(self) -> Provider:
        found = [wrong(message, key=key, allowed=allowed) for key, message, allowed in self._wrong()]
        if found:
            raise several(found)
        return self

    @property
    def url(self) -> str:
        """Where the service is reached, without a slash at the end; empty if nothing says so."""
        return (self.base_url or self.endpoint or BASE_URLS.get(self.kind, "")).rstrip("/")

    def _wrong(self) -> Iterator[tuple[str, str, str]]:
        key = "endpoint" if self.endpoint and not self.base_url else "base_url"
        if self.endpoint and (self.base_url or self.kind != "azure"):
            yield "endpoint", "is the address of an azure account; others have base_url", "one of the two"
        elif not self.url:
            wanted = "endpoint" if self.kind == "azure" else "base_url"
            yield wanted, f"a provider of kind {self.kind} needs it", "https://HOST[/PATH]"
        else:
            yield from self._wrong_url(key)
        if self.kind == "azure" and not self.api_version:
            yield "api_version", "a provider of kind azure needs it", "such as 2024-10-21"
        if self.kind != "azure" and self.deployment:
            yield "deployment", "only a provider of kind azure has deployments", "the step's `model`"
        if self.kind == "http" and self.trust_env and not self.allow_private:
            yield ("trust_env", "a proxy looks up addresses itself, so private ones cannot be refused",
                   "allow_private: true beside it")  # fmt: skip
        if self.kind == "http" and self.api_key:
            yield "api_key", "how a key is sent is this service's own affair", "headers: {NAME: ${VARIABLE}}"
        if self.idempotency_header and not _HEADER.fullmatch(self.idempotency_header):
            yield "idempotency_header", "is no name of a header", "such as Idempotency-Key"
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name):
                yield "headers", f"{name!r:.80} is no name of a header", "letters, digits and `-`"
            elif not value.isascii() or not value.isprintable():
                yield "headers", f"the value of {name} cannot be sent in a header", "printable ASCII"

    def _wrong_url(self, key: str) -> Iterator[tuple[str, str, str]]:
        allowed = "http://HOST[:PORT][/PATH] or https://..."
        try:
            parts = urlsplit(self.url)
            host = parts.hostname
            _ = parts.port
        except ValueError:
            yield key, "is no URL", allowed
            return
        if parts.scheme not in ("http", "https") or not host:
            yield key, "is no URL of a service", allowed
        elif parts.username is not None or parts.password is not None:
            yield key, "credentials do not belong into the address", "api_key or headers"
        elif parts.query or parts.fragment:
            yield key, "an address ends before `?` and `#`", allowed
        elif self.allow_hosts and host not in self.allow_hosts:
            yield "allow_hosts", f"does not name {host}, which {key} leads to", f"{host}, ..."

    def config(self, name: str) -> ProviderConfig:
        """The same for who asks."""
        given = {key: getattr(self, key) for key in ProviderConfig.__struct_fields__ if key not in ("name", "base_url")}
        return ProviderConfig(
            **{key: value for key, value in given.items() if value is not None}, name=name, base_url=self.url
        )


class Limit(Section):
    """How fast one account may be asked."""

    requests_per_minute: Whole | None = None
    tokens_per_minute: Whole | None = None
    max_concurrent: Whole | None = None
    adaptive: bool = False

    def limits(self) -> Limits:
        """The same for who grants calls."""
        return Limits(
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
            max_concurrent=self.max_concurrent,
            adaptive=self.adaptive,
        )


class RateLimit(Section):
    """Limits by the name of their provider, in `services` or beside it; three words are no names."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, defer_build=True)
    __pydantic_extra__: dict[str, Limit] = Field(init=False)

    enabled: bool = True
    default_requests_per_minute: Whole | None = None
    services: dict[Name, Limit] = Field(default_factory=dict)

    @property
    def by_name(self) -> dict[str, Limit]:
        """The limit of each provider that has one of its own; what stands beside `services` goes first."""
        return {**self.services, **(self.__pydantic_extra__ or {})}

    def limits(self, name: str) -> Limits:
        """What holds for one provider."""
        if not self.enabled:
            return Limits()
        own = self.by_name.get(name)
        return own.limits() if own is not None else Limits(requests_per_minute=self.default_requests_per_minute)


class Budget(Section):
    """What a run may spend; None is no limit. At `warn_at` (a share) the user is told."""

    max_cost: Annotated[float, Field(ge=0, le=10**12)] | None = None
    currency: Text | None = None
    max_calls: Annotated[int, Field(ge=0, le=2**31)] | None = None
    warn_at: Annotated[float, Field(gt=0, le=1)] = 0.8

    def budget(self) -> BudgetLimits:
        """The same for who reserves and settles; the number is taken as it is written."""
        cost = None if self.max_cost is None else Decimal(str(self.max_cost))
        return BudgetLimits(max_cost=cost, max_calls=self.max_calls, warn_at=self.warn_at, currency=self.currency or "")
