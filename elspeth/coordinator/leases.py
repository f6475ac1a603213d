"""Who may send a call, and when: one state of all accounts and of the budget, for all workers of a run. Pure.

A worker asks before it sends and says what came of it. What may not be sent yet waits here, in the order in which it
was asked for, provider by provider. When no call can be sent any more because somebody has to act, all that wait are
refused with the reason, and so is everybody who asks later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from elspeth.calls.limits.account import Account, Ended, Grant, Limits
from elspeth.calls.limits.budget import Spend
from elspeth.calls.services import Services
from elspeth.calls.totals import CallTotals, whole
from elspeth.coordinator import events as ev
from elspeth.coordinator.protocol import LeaseAsked, LeaseEnded, LeaseGranted, LeaseRefused
from elspeth.coordinator.reporting.observer import Observer, ProviderState
from elspeth.coordinator.reporting.standstill import Held
from elspeth.errors import ElspethError, PersonNeeded, Temporary, from_value

_TOLD = {"paused": "asked for a pause", "down": "does not answer"}


@dataclass(slots=True)
class _Provider:
    """An account, and who waits for it."""

    limits: Limits
    outage_seconds: float
    account: Account = field(default_factory=Account)
    waiting: deque[tuple[str, LeaseAsked]] = field(default_factory=deque)
    told: str = ""


class Leases:
    """The calls of a run that are out and those that wait. `now` are seconds of a clock that does not go back.

    `before` is what committed calls came to, `left_behind` what other calls of earlier attempts did; `notify` takes
    sentences for whoever watches.
    """

    def __init__(
        self,
        services: Services,
        run_id: str,
        before: Mapping[str, CallTotals],
        left_behind: CallTotals,
        notify: Callable[[str], None],
        observer: Observer | None = None,
    ) -> None:
        self._observer = observer or Observer()
        self._services = services
        self._run_id = run_id
        self._notify = notify
        self._out: dict[tuple[str, int], tuple[LeaseAsked, Grant]] = {}
        self._stopped: ElspethError | None = None
        self._providers = {
            config.name: _Provider(services.limits.get(config.name, Limits()), config.outage_seconds)
            for config in services.providers
        }
        spent = whole(totals for name, totals in before.items() if name in self._providers) + left_behind
        self.spend = Spend(cost=spent.cost, calls=spent.exchanges)
        self._warned = self.spend.share(services.budget) >= services.budget.warn_at
        self._observer.accounts(self.states)

    # -- what workers say --------------------------------------------------------------------------------------

    def asked(self, child: str, message: LeaseAsked, now: float) -> list[ev.Command]:
        """A worker wants to send a call."""
        self._providers[message.provider].waiting.append((child, message))
        return self.move(now)

    def ended(self, child: str, message: LeaseEnded, now: float) -> list[ev.Command]:
        """A call is over."""
        held = self._out.pop((child, message.number), None)
        if held is None:
            return []
        asked, grant = held
        self._observer.call_ended(child, asked, message)
        provider = self._providers[asked.provider]
        ended = Ended(
            grant=grant, tokens=message.tokens, sent=message.sent, failure=message.failure, hasty=message.hasty,
            retry_after=message.retry_after,
        )  # fmt: skip
        provider.account = provider.account.ended(provider.limits, ended, now)
        if message.sent:
            self.spend = self.spend.settle(asked.cost, message.cost)
        else:
            self.spend = self.spend.released(asked.cost)
        self._warn()
        if message.stops is not None and self._stopped is None:
            self._stopped = from_value(message.stops)
        return self.move(now)

    def gone(self, child: str, now: float) -> list[ev.Command]:
        """A worker died: what it waited for nobody wants, and what it had out may have been carried out."""
        for provider in self._providers.values():
            provider.waiting = deque(each for each in provider.waiting if each[0] != child)
        for key in [key for key in self._out if key[0] == child]:
            asked, grant = self._out.pop(key)
            self._observer.call_ended(child, asked, None)
            provider = self._providers[asked.provider]
            provider.account = provider.account.abandoned(grant, now)
            self.spend = self.spend.settle(asked.cost, asked.cost)
        self._warn()
        return self.move(now)

    def held(self, now: float) -> list[Held]:
        """What calls that wait are waiting for, provider by provider."""
        found = []
        for name, provider in self._providers.items():
            if provider.waiting:
                _, grant = provider.account.ask(provider.limits, provider.waiting[0][1].tokens, now)
                found.append(Held(name, grant.why or "concurrent", grant.wait))
        return found

    def states(self) -> dict[str, ProviderState]:
        """How each account stands. May be asked in any thread: it only looks, at values that are replaced whole."""
        return {
            name: ProviderState(len(provider.waiting), provider.account.out, provider.account.breaker.open)
            for name, provider in self._providers.items()
        }

    # -- movement ----------------------------------------------------------------------------------------------

    def move(self, now: float) -> list[ev.Command]:
        """Grant what may be sent by now; called with every event, and from time to time."""
        out: list[ev.Command] = []
        for name, provider in self._providers.items():
            if provider.waiting and self._stopped is None:
                out.extend(self._serve(name, provider, now))
        if self._stopped is not None:
            out.extend(self._refuse_all(self._stopped))
        return out

    def _serve(self, name: str, provider: _Provider, now: float) -> list[ev.Command]:
        out: list[ev.Command] = []
        while provider.waiting:
            down = provider.account.down_for(now)
            if down > provider.outage_seconds:
                self._stopped = self._outage(name, down)
                return out
            child, asked = provider.waiting[0]
            verdict = self.spend.verdict(self._services.budget, asked.cost)
            if verdict == "exhausted":
                self._stopped = self._exhausted()
                return out
            if verdict == "wait":
                return out
            account, grant = provider.account.ask(provider.limits, asked.tokens, now)
            self._tell(name, provider, grant)
            if grant.wait > 0:
                return out
            provider.waiting.popleft()
            provider.account = account
            self.spend = self.spend.reserve(asked.cost)
            self._out[child, asked.number] = asked, grant
            self._observer.call_sent(child, asked)
            out.append(ev.Send(child, LeaseGranted(asked.number)))
        return out

    def _refuse_all(self, error: ElspethError) -> list[ev.Command]:
        out: list[ev.Command] = []
        for provider in self._providers.values():
            while provider.waiting:
                child, asked = provider.waiting.popleft()
                out.append(ev.Send(child, LeaseRefused(asked.number, error.to_value())))
        return out

    # -- words -------------------------------------------------------------------------------------------------

    def _tell(self, name: str, provider: _Provider, grant: Grant) -> None:
        why = grant.why if grant.why in _TOLD else ""
        if why and why != provider.told:
            count = len(provider.waiting)
            waiting = "1 call waits" if count == 1 else f"{count:,} calls wait"
            self._notify(f"provider {name} {_TOLD[why]}: {waiting}, and no row is spent")
        elif provider.told and not grant.wait:
            self._notify(f"provider {name} is asked again")
        if why or not grant.wait:
            provider.told = why

    def _warn(self) -> None:
        budget = self._services.budget
        share = self.spend.share(budget)
        if not self._warned and share >= budget.warn_at:
            self._warned = True
            self._notify(f"{share:.0%} of the budget is spent: {self._spent()}")

    def _spent(self) -> str:
        budget, spend = self._services.budget, self.spend
        words = []
        if budget.max_cost is not None:
            words.append(f"{spend.cost:.2f} of {budget.max_cost} {budget.currency}".rstrip())
        if budget.max_calls is not None:
            words.append(f"{spend.calls:,} of {budget.max_calls:,} calls")
        return ", ".join(words)

    def _exhausted(self) -> PersonNeeded:
        budget = self._services.budget
        key = "max_cost" if budget.max_cost is not None else "max_calls"
        return PersonNeeded(
            f"the budget is spent: {self._spent()}",
            next_step=f"raise it: elspeth resume {self._run_id} --set budget.{key}=...",
        )

    def _outage(self, name: str, seconds: float) -> Temporary:
        return Temporary(
            f"provider {name} has answered nothing for {seconds:,.0f} s",
            next_step=f"when it is back: elspeth resume {self._run_id}",
        )
