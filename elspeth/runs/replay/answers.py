"""Answers calls of plugins from the record: nothing is sent, and what was never answered is said to be so."""

from __future__ import annotations

import builtins
import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from elspeth import canonical
from elspeth.calls.caller import REFUSED, Visit
from elspeth.calls.errors import CallRefused
from elspeth.calls.model import Answer, Exchange, Request, Terms, Usage
from elspeth.plugins.contract import TransientError
from elspeth.runs.replay.record import RunRecord


class NotOnRecord(BaseException):
    """What a plugin asks was not answered on record. No `Exception`: a plugin must not take it for one of its own.

    `kept` False: it was answered, and the answer itself was not to be kept (`record: hash` or `redact`).
    """

    def __init__(self, place: str, node: str, name: str, provider: str, *, kept: bool = True) -> None:
        super().__init__(f"{node} asks {provider} for {place}")
        self.place, self.node, self.name, self.provider, self.kept = place, node, name, provider, kept


class _Try:
    """An exchange on record."""

    def __init__(self, record: tuple[Any, ...]) -> None:
        self.kind, self.status, self.request_hash, self.kept, text, self._latency, self.at = record
        self.facts: dict[str, Any] = canonical.from_text(text) if text is not None else {}

    @property
    def forgotten(self) -> bool:
        """Whether what was answered is not on record."""
        return not self.kept and any(name in self.facts for name in ("text", "body"))

    @property
    def lost(self) -> bool:
        """Whether nobody knows what came of it."""
        return self.facts.get("reason") == "no_answer_on_record"

    @property
    def cost(self) -> Decimal:
        return Decimal(self.facts.get("cost", "0"))

    def exchange(self) -> Exchange:
        """The exchange as the plugin saw it."""
        facts, text = self.facts, self.facts.get("text", "")
        usage = facts.get("usage")
        message = facts.get("message", "")
        if self.lost:
            message = (
                f"it was sent at {self.at}, and no answer is on record: nobody here knows whether it was carried out"
            )
        return Exchange(
            outcome=self.status, reason=facts.get("reason", ""), message=message, status=facts.get("status"),
            headers=facts.get("headers", {}), body=facts.get("body", text), text=text,
            finish_reason=facts.get("finish_reason", ""), model=facts.get("model", ""),
            usage=msgspec.convert(usage, Usage) if usage is not None else None, sent=self._sent(),
            ended=facts.get("ended") or "",
        )  # fmt: skip

    def _sent(self) -> str:
        """When it went out: the record says when it ended, and how long it took."""
        ended = self.facts.get("ended")
        if not ended or self._latency is None:
            return str(self.facts.get("sent", self.at))
        at = datetime.fromisoformat(ended.replace("Z", "+00:00")) - timedelta(milliseconds=self._latency)
        return at.isoformat(timespec="milliseconds")[:-6] + "Z"


class RecordedAnswers:
    """Stands where the calls of a process are made, see `elspeth.calls.caller.Caller`."""

    def __init__(self, record: RunRecord, conceal: Callable[[str], str]) -> None:
        self._record = record
        self._conceal = conceal
        self.used = 0
        self._at: tuple[str, str] = ("", "")
        self._tries: dict[tuple[str, str], list[_Try]] = {}
        self._raised: dict[tuple[str, str], int] = {}

    def call(self, visit: Visit, request: Request, name: str, terms: Terms) -> Answer:
        """The answer to a request that is on record. Raises `CallRefused` where none was had, and `NotOnRecord`."""
        tries = self._find(visit, name, request.canonical(), request.provider)
        last = tries[-1].exchange()
        self.used += 1
        if last.outcome == "answered":
            cost = sum((each.cost for each in tries), Decimal(0))
            return Answer(exchange=last, origin="replay", tries=len(tries), cost=cost)
        details = {"provider": request.provider, "why": last.reason or last.outcome, "status": last.status,
                   "tries": len(tries), "sent": last.sent}  # fmt: skip
        reason = last.message or f"{request.provider} gave no answer: {last.reason or last.outcome}"
        raise CallRefused(reason, {key: value for key, value in details.items() if value is not None})

    def recorded(
        self, visit: Visit, name: str, request: Any, function: Callable[[], Any], on_unknown: str = "retry"
    ) -> Any:
        """What a client of the plugin's own answered. Raises what it raised, and `NotOnRecord`."""
        tries = self._find(visit, name, request, name)
        self.used += 1
        for each in tries:
            exchange = each.exchange()
            if exchange.outcome == "answered":
                break
            if exchange.reason == REFUSED:
                raise CallRefused(exchange.message, canonical.from_text(exchange.text) if exchange.text else {})
        raised = [each for each in tries if each.facts.get("reason") == "raised"]
        key = (name, tries[0].request_hash)
        seen = self._raised.get(key, 0)
        if seen < len(raised):
            self._raised[key] = seen + 1
            raise _raised(raised[seen].facts.get("message", ""))
        if tries[-1].status == "answered":
            return canonical.from_text(tries[-1].exchange().text)
        if raised:
            raise _raised(raised[-1].facts.get("message", ""))
        last = tries[-1]
        raise CallRefused(last.exchange().message, {"call": name, "sent": last.at, "request_hash": last.request_hash})

    def _find(self, visit: Visit, name: str, request: Any, provider: str) -> list[_Try]:
        asked = self._conceal(canonical.dumps(request).decode())
        digest = hashlib.sha256(asked.encode()).hexdigest()
        if self._at != (visit.token, visit.node):
            self._at, self._tries, self._raised = (visit.token, visit.node), {}, {}
            for record in self._record.calls(visit.token, visit.node):
                found = _Try(record)
                self._tries.setdefault((found.facts.get("name", ""), found.request_hash), []).append(found)
        tries = self._tries.get((name, digest))
        if not tries:
            raise NotOnRecord(visit.token, visit.node, name, provider)
        if tries[-1].forgotten:
            raise NotOnRecord(visit.token, visit.node, name, provider, kept=False)
        return tries


def _raised(message: str) -> Exception:
    """The exception that a client raised, as far as its name and its words say what it was."""
    kind, _, words = message.partition(": ")
    if kind == TransientError.__name__:
        return TransientError(words)
    found = getattr(builtins, kind, None)
    base = found if isinstance(found, type) and issubclass(found, Exception) else Exception
    # Its own class may put its words otherwise, or want more than words: what it said is on record.
    raised: Exception = type(kind or "Exception", (base,), {"__init__": _silent, "__str__": lambda _: words})()
    return raised


def _silent(_self: Exception) -> None:
    """Nothing of what the class would do."""
