"""One account of a service, as the settings describe it, with the secrets in it: never stored, never printed."""

from __future__ import annotations

from typing import Literal
from urllib.parse import urlsplit

import msgspec

Kind = Literal["openai", "azure", "anthropic", "http"]

BASE_URLS: dict[str, str] = {"openai": "https://api.openai.com/v1", "anthropic": "https://api.anthropic.com"}
"""Where kinds that have a service of their own are reached, unless the settings say otherwise."""

MODELS: tuple[Kind, ...] = ("openai", "azure", "anthropic")
"""Kinds that can be asked as language models."""


class ProviderConfig(msgspec.Struct, frozen=True, kw_only=True):
    """An account. `base_url` is `endpoint` for kind `azure`; `verify` is true, false, or a file of trusted CAs."""

    name: str
    kind: Kind
    base_url: str
    api_key: str = ""
    deployment: str = ""
    api_version: str = ""
    headers: dict[str, str] = {}
    timeout_seconds: float = 120.0
    connect_timeout_seconds: float = 10.0
    outage_seconds: float = 600.0
    verify: bool | str = True
    trust_env: bool = False
    allow_hosts: tuple[str, ...] = ()
    allow_private: bool = False
    idempotency_header: str | None = None

    def __repr__(self) -> str:
        return f"ProviderConfig(name={self.name!r}, kind={self.kind!r}, base_url={self.base_url!r})"

    @property
    def hosts(self) -> frozenset[str]:
        """The hosts that may be asked: that of `base_url` if none are named."""
        return frozenset(self.allow_hosts or (urlsplit(self.base_url).hostname or "",))
