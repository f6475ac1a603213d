"""Requests to services and the tries at them, as plain values: what is hashed, journalled, recorded and handed on.

A request holds no secret: keys and the address of the account belong to the provider, which adds them as it sends.
"""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any, Literal, Protocol

import msgspec

from elspeth import canonical

Outcome = Literal["answered", "retry_later", "refused", "stop", "unknown", "never_sent"]
"""What one try came to, and so what may be done next.

    answered     the service carried it out, and what it said can be read: also `length` and a content filter
    retry_later  the service said that it did not, and that another try may help (429, 5xx, one of `retry_statuses`)
    refused      asking again would change nothing (400, 404, 413, 422, an answer that is none): the row's error
    stop         no key, a wrong one, no quota left: no row can be helped, the run stops (`PersonNeeded`)
    unknown      sent, and nobody here knows whether it was carried out: no answer, half of one, a connection cut
    never_sent   no byte of it reached the service: nothing was carried out, and another try may help
"""

OnUnknown = Literal["retry", "fail"]
Record = Literal["full", "hash", "redact"]
Origin = Literal["sent", "journal", "replay"]


class Message(msgspec.Struct, frozen=True):
    """One message of a conversation; text of a row stands under the role `user` only."""

    role: Literal["system", "user", "assistant"]
    content: str


class Chat(msgspec.Struct, frozen=True, tag="chat", kw_only=True):
    """A question to a language model, in no provider's own words.

    `parameters` are those of the settings (temperature, max_tokens), sent as they are. `schema` is the JSON Schema that
    the answer is to meet, `json` asks for JSON of any shape.
    """

    model: str
    messages: tuple[Message, ...]
    parameters: dict[str, Any] = {}
    json: bool = False
    schema: dict[str, Any] | None = None


class Http(msgspec.Struct, frozen=True, tag="http", kw_only=True):
    """A request to any service, below the provider's `base_url`. At most one of `json` and `form` is given.

    `success`, `retry_statuses` and `max_body_bytes` say how an answer is taken; they are not sent and not hashed.
    """

    method: str
    path: str = ""
    query: dict[str, str] = {}
    headers: dict[str, str] = {}
    json: Any = None
    form: dict[str, str] | None = None
    success: tuple[int, ...] = (200, 201, 202, 203, 204)
    retry_statuses: tuple[int, ...] = (408, 425, 429, 500, 502, 503, 504)
    max_body_bytes: int = 1024 * 1024


_NOT_SENT = ("success", "retry_statuses", "max_body_bytes")


class Request(msgspec.Struct, frozen=True):
    """What is asked of which provider (its name in the settings): the two arguments of `ctx.call` as one value."""

    provider: str
    content: Chat | Http

    def canonical(self) -> dict[str, Any]:
        """What is asked, as JSON can hold it: what the record shows, and what the hash is of."""
        content: dict[str, Any] = msgspec.to_builtins(self.content)
        for name in _NOT_SENT:
            content.pop(name, None)
        return {"provider": self.provider, **content}

    def sha256(self) -> str:
        """The hash by which an answer on record is found again (hex). Raises `ValueError` for what is no JSON."""
        return hashlib.sha256(canonical.dumps(self.canonical())).hexdigest()

    @property
    def repeatable(self) -> bool:
        """Whether asking twice harms nobody: a model only answers, and RFC 9110 (9.2.2) names the methods."""
        return isinstance(self.content, Chat) or self.content.method in ("GET", "HEAD", "PUT", "DELETE", "OPTIONS")


class Usage(msgspec.Struct, frozen=True):
    """Tokens that a model counted, or that are expected of it."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def tokens(self) -> int:
        """Both together: what a limit of tokens a minute counts."""
        return self.input_tokens + self.output_tokens


class Price(msgspec.Struct, frozen=True):
    """A tariff of the settings, in the currency of `budget`: for a million tokens each way, and for a call."""

    input_per_million: Decimal = Decimal(0)
    output_per_million: Decimal = Decimal(0)
    per_call: Decimal = Decimal(0)

    def cost(self, usage: Usage) -> Decimal:
        """What a call with this usage costs, exactly: decimals do not depend on the order in which they are added."""
        millions = usage.input_tokens * self.input_per_million + usage.output_tokens * self.output_per_million
        return self.per_call + millions / 1_000_000


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a node wants a request treated; no part of what is asked.

    `on_unknown` None: `retry` if the request is `repeatable` or the provider has an idempotency header, else `fail`.
    `expected` is what the limiter and the budget reserve before the call: an upper estimate.
    """

    on_unknown: OnUnknown | None = None
    record: Record = "full"
    price: Price = Price()
    expected: Usage = Usage()


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a request, and all that is known of it. Holds no secret: texts were concealed where they arose.

    `reason` is a word for the record (`rate_limited`, `timed_out`, `cut_body`, ...; empty for a plain answer) and
    `message` a sentence for people. `retry_after` (seconds) is what the service asked for; with `everybody` the whole
    provider pauses, not this request alone. `failure`: counts for the breaker, for the service (and no row) is in
    trouble. `text` is what a model said, or the body as text; `headers` are those of the answer that may be kept.
    `sent` and `ended` are ISO 8601, UTC.
    """

    outcome: Outcome
    reason: str = ""
    message: str = ""
    status: int | None = None
    headers: dict[str, str] = {}
    body: str = ""
    text: str = ""
    finish_reason: str = ""
    model: str = ""
    usage: Usage | None = None
    retry_after: float | None = None
    everybody: bool = False
    failure: bool = False
    sent: str = ""
    ended: str = ""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a plugin is given for its request: the last exchange, and where it came from.

    `tries` counts the exchanges of this request, the last one included; `cost` is that of all of them.
    """

    exchange: Exchange
    origin: Origin = "sent"
    tries: int = 1
    cost: Decimal = Decimal(0)

    @property
    def text(self) -> str:
        """What the model said, or the body."""
        return self.exchange.text


class Provider(Protocol):
    """A way to one account of a service. Built in every process that calls; used by many threads at once."""

    name: str
    idempotency_header: str | None

    def send(self, request: Request, deadline: float, idempotency_key: str) -> Exchange:
        """One try, over before `deadline` (seconds, as `time.monotonic` counts them). Never raises, never tries again.

        The key is sent if the provider has a header for it.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...
