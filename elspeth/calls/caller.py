"""Makes calls for plugins: what is on record is used again, what is to be sent is written down first. Many threads."""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable
from contextlib import contextmanager
from decimal import Decimal
from random import Random
from threading import Condition, Event, Lock
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from actors.crash_points import crash_point
from elspeth import canonical
from elspeth.calls.errors import CallRefused, RunStops
from elspeth.calls.journal.entries import RECORDED, CallKey, Intent
from elspeth.calls.journal.journal import Journal, Reach
from elspeth.calls.journal.known import Try
from elspeth.calls.limits.retry import after, delay, on_unknown
from elspeth.calls.made import CallMade
from elspeth.calls.model import Answer, Chat, Exchange, Origin, Provider, Request, Terms
from elspeth.clock import utc_now
from elspeth.durable import why
from elspeth.errors import ElspethError, PersonNeeded, SettingsError, Temporary

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_TERMS = Terms()

REFUSED = "refused"
"""The reason of an exchange in which a client of a plugin's own found that the row is refused."""


class Visit(msgspec.Struct, frozen=True):
    """Where a call is made: for which token, at which node, in which stage; `note` puts it among the row's records."""

    token: str
    node: str
    stage: int
    note: Callable[[CallMade], None]


class Outside:
    """Says while anybody waits for the outside world that silence is no hang."""

    def __init__(self, waiting: Callable[[bool], None]) -> None:
        self._waiting = waiting
        self._count = 0
        self._lock = Lock()

    @contextmanager
    def wait(self) -> Iterator[None]:
        """Within this, the outside world is waited for."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, number: int) -> None:
        with self._lock:
            self._count += number
            self._waiting(self._count > 0)


class Lease(msgspec.Struct, frozen=True):
    """Leave to send one call."""

    number: int


class Desk(Protocol):
    """Where leave is given; see `elspeth.coordinator.leases`."""

    def ask(self, provider: str, tokens: int, cost: Decimal, model: str = "") -> Lease:
        """Return when a call may be sent that is expected to come to this; `model` is for who watches.

        Raises `RunStops`.
        """

    def end(self, lease: Lease, exchange: Exchange, cost: Decimal, stops: ElspethError | None = None) -> None:
        """The call is over; with `stops` it says that none may be sent any more."""


class Caller:
    """The calls of one process.

    `conceal` takes credentials out of what is written down; `providers` makes the accounts, each when it is needed;
    a call is tried `max_tries` times at most.
    """

    def __init__(
        self, journal: Journal, outside: Outside, conceal: Callable[[str], str], desk: Desk,
        providers: Mapping[str, Callable[[], Provider]], max_tries: int,
    ) -> None:  # fmt: skip
        self._journal = journal
        self._outside = outside
        self._conceal = conceal
        self._desk = desk
        self._makers = providers
        self._providers: dict[str, Provider] = {}
        self._lock = Lock()
        self._max_tries = max_tries
        self._under_way = Condition()
        self._count = 0
        self._stopping = False

    # -- for the process that it belongs to --------------------------------------------------------------------

    def work(self, reach: Reach, *, again: bool) -> None:
        """Work is begun that goes this far; `again`: another process may have had it in hand, and died."""
        self._journal.work(reach)
        if again:
            self._journal.read_others()

    def settled(self, durable: Reach) -> None:
        """What lies within this is committed."""
        self._journal.settled(durable)

    def drain(self, seconds: float) -> None:
        """Send nothing more, and wait so long for what is under way: its answers are paid for."""
        with self._under_way:
            self._stopping = True
            self._under_way.wait_for(lambda: not self._count, seconds)

    # -- for plugins -------------------------------------------------------------------------------------------

    def recorded(
        self,
        visit: Visit,
        name: str,
        request: Any,
        function: Callable[[], Any],
        on_unknown: Literal["retry", "fail"] = "retry",
    ) -> Any:
        """What `function` answers, called once and never again when it has; see `Context.recorded`.

        A `CallRefused` that it raises is an answer, too, and raised again. Raises `CallRefused` where nobody knows
        whether it was carried out and `on_unknown` is `fail`, `ValueError` where request or answer is nothing that
        JSON can hold, `RunStops`, and what `function` raises.
        """
        asked, key = self._key(visit, name, request)
        tries = self._begun(Intent(key, 1, utc_now(), RECORDED, asked, visit.stage))
        self._note(visit, name, tries)
        for known in tries:
            if known.exchange is not None and known.exchange.outcome == "answered":
                return canonical.from_text(known.exchange.text)
            if known.exchange is not None and known.exchange.reason == REFUSED:
                raise CallRefused(known.exchange.message, canonical.from_text(known.exchange.text))
        if tries and tries[-1].exchange is None and on_unknown == "fail":
            raise unknown(tries[-1])
        made = self._intend(
            Intent(key, len(tries) + 1, utc_now(), RECORDED, asked, visit.stage), durable=on_unknown == "fail"
        )
        try:
            with self._outside.wait():
                value = function()
            text = self._conceal(canonical.to_text(value))
            exchange = Exchange(outcome="answered", text=text, sent=made.intent.at, ended=utc_now())
        except CallRefused as refused:
            text = self._conceal(_as_json(refused.details))
            exchange = Exchange(
                outcome="refused", reason=REFUSED, message=self._conceal(refused.reason), text=text,
                sent=made.intent.at, ended=utc_now(),
            )  # fmt: skip
            self._conclude(made, exchange, Decimal(0))
            self._note(visit, name, [made])
            raise
        except Exception as error:
            message = self._conceal(f"{type(error).__name__}: {error}")
            exchange = Exchange(
                outcome="refused", reason="raised", message=message, sent=made.intent.at, ended=utc_now()
            )
            self._conclude(made, exchange, Decimal(0))
            self._note(visit, name, [made])
            raise
        self._conclude(made, exchange, Decimal(0))
        self._note(visit, name, [made])
        return canonical.from_text(text)

    def call(self, visit: Visit, request: Request, name: str, terms: Terms) -> Answer:
        """The answer to a request, from the journal or from the service; see `Context.call`.

        Raises `CallRefused` where none can be had for this row, `ValueError` for a request that JSON cannot hold, and
        `RunStops` where no row can be helped: a key that is refused, a budget that is spent.
        """
        provider = self._provider(request.provider)
        asked, key = self._key(visit, name, request.canonical())
        unknown = on_unknown(request, terms.on_unknown, provider.idempotency_header)
        kind = "llm" if isinstance(request.content, Chat) else "http"
        model = request.content.model if isinstance(request.content, Chat) else ""
        expected = terms.price.cost(terms.expected)
        tries = self._begun(Intent(key, 1, utc_now(), kind, asked, visit.stage, str(expected)))
        chance = Random(f"{key.token}/{key.node}/{key.name}")  # not the row's: how often is tried must not show in it
        sent = 0
        try:
            while True:
                if tries:
                    last = tries[-1]
                    exchange = last.exchange or _lost(last)
                    # A process that died in between is no row's fault, and spends none of its tries.
                    spent = sum(known.exchange is not None for known in tries)
                    match after(exchange, spent, self._max_tries, unknown):
                        case "answer":
                            origin: Origin = "sent" if sent else "journal"
                            cost = sum((known.cost for known in tries), Decimal(0))
                            return Answer(exchange=exchange, origin=origin, tries=len(tries), cost=cost)
                        case "fail":
                            raise _refused(request, exchange, len(tries))
                        case "stop" if sent:  # what an earlier attempt was told says nothing of the key we have now
                            raise RunStops(_stops(request, exchange))
                    if sent and not exchange.everybody:
                        self._pause(delay(exchange, spent, chance))
                with self._outside.wait():
                    lease = self._desk.ask(request.provider, terms.expected.tokens, expected, model)
                intent = Intent(key, len(tries) + 1, utc_now(), kind, asked, visit.stage, str(expected))
                made = self._intend(intent, durable=unknown == "fail")
                with self._outside.wait():
                    exchange = provider.send(request, math.inf, idempotency_key(key))
                cost = _cost(exchange, terms)
                self._conclude(made, exchange, cost)
                stops = _stops(request, exchange) if exchange.outcome == "stop" else None
                self._desk.end(lease, exchange, cost, stops)
                tries.append(made)
                sent += 1
        finally:
            self._note(visit, request.provider, tries, terms)

    def _provider(self, name: str) -> Provider:
        with self._lock:
            found = self._providers.get(name)
            if found is None:
                if name not in self._makers:
                    known = ", ".join(sorted(self._makers)) or "none"
                    raise RunStops(SettingsError(f"there is no provider {name!r}; the settings name {known}"))
                found = self._providers[name] = self._makers[name]()
            return found

    def _pause(self, seconds: float) -> None:
        with self._outside.wait():
            time.sleep(seconds)

    # -- shared ------------------------------------------------------------------------------------------------

    def _key(self, visit: Visit, name: str, request: Any) -> tuple[str, CallKey]:
        """What is asked, as canonical JSON without credentials, and the key of the call."""
        asked = self._conceal(canonical.dumps(request).decode())
        return asked, CallKey(visit.token, visit.node, name, hashlib.sha256(asked.encode()).hexdigest())

    def _begun(self, intent: Intent) -> list[Try]:
        with _disk(self._journal.folder):
            return self._journal.begun(intent)

    def _intend(self, intent: Intent, *, durable: bool) -> Try:
        with self._under_way:
            stopping = self._stopping
            self._count += not stopping
        if stopping:
            Event().wait()  # the process ends, and this row is decided by another
        crash_point("calls.before_intent")
        with _disk(self._journal.folder):
            made = self._journal.intend(intent, durable=durable)
        crash_point("calls.after_intent")
        return made

    def _conclude(self, made: Try, exchange: Exchange, cost: Decimal) -> None:
        crash_point("calls.before_answer")
        with _disk(self._journal.folder):
            self._journal.conclude(made, exchange, cost)
        with self._under_way:
            self._count -= 1
            self._under_way.notify_all()
        crash_point("calls.after_answer")

    def _note(self, visit: Visit, provider: str, tries: list[Try], terms: Terms = _TERMS) -> None:
        """Put on record what is not: of a call that is made again for the same row, each try is recorded once."""
        fresh = [known for known in tries if not known.told]
        if fresh:
            for known in fresh:
                known.told = True
            visit.note(CallMade(provider, terms.record, fresh, terms.price))


def idempotency_key(key: CallKey) -> str:
    """What tells a service that it is asked the same once more: the same for every try, in every attempt."""
    return hashlib.sha256("\0".join((key.token, key.node, key.name, key.request_hash)).encode()).hexdigest()[:32]


def _lost(known: Try) -> Exchange:
    """What is to be said of a try whose process died before an answer was on record."""
    return Exchange(
        outcome="unknown", reason="no_answer_on_record",
        message=_no_answer(known),
        sent=known.intent.at,
    )  # fmt: skip


def _cost(exchange: Exchange, terms: Terms) -> Decimal:
    """What an exchange costs: of one that nobody knows the end of, what it was expected to."""
    if exchange.usage is not None:
        return terms.price.cost(exchange.usage)
    if exchange.outcome == "unknown":
        return terms.price.cost(terms.expected)
    return terms.price.per_call if exchange.outcome == "answered" else Decimal(0)


def _refused(request: Request, exchange: Exchange, tries: int) -> CallRefused:
    details = {"provider": request.provider, "why": exchange.reason or exchange.outcome, "status": exchange.status,
               "tries": tries, "sent": exchange.sent}  # fmt: skip
    reason = exchange.message or f"{request.provider} gave no answer: {exchange.reason or exchange.outcome}"
    return CallRefused(reason, {name: value for name, value in details.items() if value is not None})


def _stops(request: Request, exchange: Exchange) -> PersonNeeded:
    status = f" (status {exchange.status})" if exchange.status else ""
    return PersonNeeded(
        f"provider {request.provider} refuses to serve this account{status}: {exchange.message or exchange.reason}",
        next_step="see to the key or the quota, then resume: no row was spent for it",
    )


def unknown(known: Try) -> CallRefused:
    """Nobody knows whether this try was carried out, and it is not to be tried again."""
    return CallRefused(
        _no_answer(known),
        {"call": known.intent.key.name, "sent": known.intent.at, "request_hash": known.intent.key.request_hash},
    )


def _as_json(details: dict[str, Any]) -> str:
    try:
        return canonical.to_text(details)
    except ValueError:  # the record has them as text
        return canonical.to_text({str(name): str(value) for name, value in details.items()})


def _no_answer(known: Try) -> str:
    if known.presumed:
        return (
            "an earlier attempt may have sent it on a machine whose journal of calls is not here: nobody here knows "
            "whether it was carried out"
        )
    return f"it was sent at {known.intent.at}, and no answer is on record: nobody here knows whether it was carried out"


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        stops = Temporary(
            f"the journal of calls in {folder} cannot be written: {why(error)}",
            details=["calls whose answers are on record are not made again"],
            next_step="mend it, then resume",
        )
        raise RunStops(stops) from error
