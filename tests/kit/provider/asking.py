"""A context for steps that ask services, without a run: every call is sent at once, and tried again without waiting."""

from __future__ import annotations

import time
from typing import Any

from elspeth.calls.config import ProviderConfig
from elspeth.calls.limits import retry
from elspeth.calls.model import Answer, Chat, Exchange, Http, Request, Terms
from elspeth.calls.wire.client import Client
from elspeth.plugins.contract import Context, RowError
from tests.kit.provider.server import FakeProvider


class Stopped(BaseException):
    """The run would stop."""


class AskingContext(Context):
    """`asked` are the names and contents of all calls, in order; `exchanges` what came of every try."""

    def __init__(self, provider: FakeProvider, **more: Any) -> None:
        super().__init__("run", "node", "token")
        kind = more.setdefault("kind", "openai")
        base = provider.url if kind in ("openai", "anthropic") else provider.origin
        config = ProviderConfig(**{"name": "main", "base_url": base, "allow_private": True, **more})
        self.client = Client(config)
        self.asked: list[tuple[str, Chat | Http]] = []
        self.terms: list[Terms] = []
        self.exchanges: list[Exchange] = []

    def call(self, provider: str, content: Chat | Http, name: str = "", *, terms: Terms | None = None) -> Answer:
        request, terms = Request(provider, content), terms or Terms()
        self.asked.append((name, content))
        self.terms.append(terms)
        unknown = retry.on_unknown(request, terms.on_unknown, self.client.idempotency_header)
        for tries in range(1, 10):
            exchange = self.client.send(request, time.monotonic() + 10, self.idempotency_key)
            self.exchanges.append(exchange)
            match retry.after(exchange, tries, 5, unknown):
                case "answer":
                    return Answer(exchange=exchange, tries=tries)
                case "fail":
                    raise RowError(exchange.message, why=exchange.reason)
                case "stop":
                    raise Stopped(exchange.message)
        raise AssertionError("asked nine times")
