"""Calls that a plugin has made for a row, and the audit records that they become."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from elspeth import canonical
from elspeth.calls.journal.known import Try
from elspeth.calls.model import Exchange, Price, Record
from elspeth.calls.totals import CallTotals, Totals, add

NO_PRICE = Price()


@dataclass(frozen=True, slots=True)
class CallMade:
    """The tries of one call that are to be put on record with the state that the node's visit becomes.

    `provider` is the settings' name of the service, or the name that the plugin gave to a client of its own.
    """

    provider: str
    record: Record
    tries: Sequence[Try]
    price: Price = NO_PRICE


def call_id(state_id: str, index: int) -> str:
    """The id of a call's record: its state, and its number there (from 0)."""
    return f"{state_id}#{index:03d}"


def totals_of(made: Sequence[CallMade]) -> Totals:
    """What these calls came to."""
    found: Totals = {}
    for call in made:
        for each in call.tries:
            add(found, {call.provider: CallTotals.of(each.exchange, each.cost)})
    return found


def records_of(state_id: str, made: Sequence[CallMade]) -> Iterator[tuple[Any, ...]]:
    """One record for each exchange, in the columns of `calls`."""
    index = 0
    for call in made:
        for each in call.tries:
            yield _record(state_id, index, call, each)
            index += 1


def _record(state_id: str, index: int, call: CallMade, each: Try) -> tuple[Any, ...]:
    intent, exchange = each.intent, each.exchange
    asked = intent.request if call.record == "full" else None
    answered = _answered(call, each)
    return (
        call_id(state_id, index),
        state_id,
        index,
        intent.kind,
        exchange.outcome if exchange is not None else "unknown",
        intent.key.request_hash,
        asked,
        canonical.sha256(answered),
        canonical.to_text(answered),
        _milliseconds(exchange),
        intent.at,
    )


def _answered(call: CallMade, each: Try) -> dict[str, Any]:
    """What is known of an exchange beside its request, as JSON; what people wrote is left out where it is to be."""
    intent, exchange = each.intent, each.exchange
    facts: dict[str, Any] = {
        "provider": call.provider, "name": intent.key.name, "try": intent.number, "sent": intent.at, "ended": None
    }  # fmt: skip
    if call.record == "redact":
        facts["request"] = redacted(canonical.from_text(intent.request))
    if exchange is None:
        facts["reason"] = "no_answer_on_record"
        facts["message"] = "the process that asked died before an answer was on record"
        facts["cost"] = str(each.cost)
        return facts
    facts["ended"] = exchange.ended
    for name in ("status", "model", "finish_reason", "reason", "message", "headers"):
        value = getattr(exchange, name)
        if value:
            facts[name] = value
    if exchange.usage is not None:
        facts["usage"] = msgspec.to_builtins(exchange.usage)
    if call.price != NO_PRICE:
        facts["price"] = {name: str(value) for name, value in msgspec.structs.asdict(call.price).items()}
    facts["cost"] = str(each.cost)
    for name in ("text", "body"):
        value = getattr(exchange, name)
        if value and not (name == "body" and value == exchange.text):
            facts[name] = value if call.record == "full" else redacted(value)
    return facts


def redacted(value: Any) -> Any:
    """The shape of a value, with each text in it replaced by its length and hash; names of fields stay."""
    if isinstance(value, dict):
        return {name: item if name in _KEPT else redacted(item) for name, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if isinstance(value, str):
        return f"[{len(value)} characters, SHA-256 {hashlib.sha256(value.encode()).hexdigest()}]"
    return value


_KEPT = ("provider", "type", "role", "model", "method")


def _milliseconds(exchange: Exchange | None) -> float | None:
    if exchange is None or not exchange.ended or not exchange.sent:
        return None
    sent, ended = (datetime.fromisoformat(at.replace("Z", "+00:00")) for at in (exchange.sent, exchange.ended))
    return round((ended - sent).total_seconds() * 1000, 3)
