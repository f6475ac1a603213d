"""All limits of one account together: may a call be sent now, and if not, when to ask again.

One state for all workers of a run: the one who holds it grants, so that four workers see one limit and not four.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from elspeth.calls.limits.breaker import Breaker
from elspeth.calls.limits.pace import Pace
from elspeth.calls.limits.window import Window

Why = Literal["", "paused", "down", "concurrent", "requests", "tokens"]

FIRST_PAUSE_SECONDS = 1.0
LAST_PAUSE_SECONDS = 60.0
"""Bounds of the pause after a refusal for haste that names no time; it doubles with each that follows."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings' `rate_limit` says of one provider; None is no limit.

    `adaptive`: how many are out at once is halved when the service refuses for haste, and grows again.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_concurrent: int | None = None
    adaptive: bool = False


class Grant(msgspec.Struct, frozen=True):
    """A call may be sent (`wait` is 0), or not before `wait` seconds have passed, because of `why`.

    `tokens` and `at` are handed back when it has ended.
    """

    wait: float = 0.0
    why: Why = ""
    tokens: int = 0
    at: float = 0.0


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What the account needs to know of a call that was granted and is over.

    `tokens` None: nobody counted them. `sent` false: it never left. `failure` and `retry_after` are those of the
    exchange; `hasty`: the service refused it for being asked too much, or named a time, which concerns everybody.
    """

    grant: Grant
    tokens: int | None = None
    sent: bool = True
    failure: bool = False
    hasty: bool = False
    retry_after: float | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one account of a service at one time.

    `since` is when the first call came to nothing after which none was answered: the age of an outage.
    """

    requests: Window = Window()
    tokens: Window = Window()
    request_pace: Pace = Pace()
    token_pace: Pace = Pace()
    out: int = 0
    allowance: float | None = None
    paused_until: float = -math.inf
    pauses: int = 0
    breaker: Breaker = Breaker()
    since: float | None = None

    def ask(self, limits: Limits, tokens: int, now: float) -> tuple[Account, Grant]:
        """May a call that is expected to take so many tokens be sent? The state after the answer, and the answer."""
        wait, why = max(self._waits(limits, tokens, now), key=lambda each: each[0])
        if wait > 0:
            return self, Grant(wait, why, tokens, now)
        after = msgspec.structs.replace(
            self,
            requests=self.requests.granted(1, now) if limits.requests_per_minute else self.requests,
            tokens=self.tokens.granted(tokens, now) if limits.tokens_per_minute else self.tokens,
            request_pace=_taken(self.request_pace, limits.requests_per_minute, 1, now),
            token_pace=_taken(self.token_pace, limits.tokens_per_minute, tokens, now),
            out=self.out + 1,
            breaker=self.breaker.sent(),
        )
        return after, Grant(0.0, "", tokens, now)

    def ended(self, limits: Limits, call: Ended, now: float) -> Account:
        """After a granted call is over."""
        grant = call.grant
        troubled = call.failure or call.hasty
        since = (now if self.since is None else self.since) if troubled else None
        after = msgspec.structs.replace(self, out=self.out - 1, since=since)
        if limits.tokens_per_minute and call.tokens is not None:
            settled = self.tokens.settled(grant.tokens, call.tokens, grant.at, now)
            after = msgspec.structs.replace(after, tokens=settled)
        if call.hasty:
            return after._slowed(limits, call.retry_after, now)
        breaker = self.breaker.failed(now) if call.failure else self.breaker.succeeded(now)
        pauses = self.pauses if call.failure else 0
        return msgspec.structs.replace(after, breaker=breaker, pauses=pauses, allowance=after._grown(limits, call))

    def abandoned(self, call: Grant, now: float) -> Account:
        """After the process that had this grant died: the call may have been sent, so what it took stays taken."""
        return msgspec.structs.replace(self, out=self.out - 1, breaker=self.breaker.abandoned(now))

    def down_for(self, now: float) -> float:
        """Seconds for which no call has been answered, while none may be sent because of it; else 0."""
        held = self.breaker.open or self.pauses > 0
        return now - self.since if held and self.since is not None else 0.0

    def _waits(self, limits: Limits, tokens: int, now: float) -> list[tuple[float, Why]]:
        found: list[tuple[float, Why]] = [(self.paused_until - now, "paused"), (self.breaker.wait(now), "down")]
        places = self._places(limits)
        if places is not None and self.out >= places:
            found.append((FIRST_PAUSE_SECONDS, "concurrent"))  # the end of any call says more
        if limits.requests_per_minute:
            found.append((self.requests.wait(limits.requests_per_minute, 1, now), "requests"))
            found.append((self.request_pace.wait(limits.requests_per_minute, now), "requests"))
        if limits.tokens_per_minute:
            found.append((self.tokens.wait(limits.tokens_per_minute, tokens, now), "tokens"))
            found.append((self.token_pace.wait(limits.tokens_per_minute, now), "tokens"))
        return found

    def _places(self, limits: Limits) -> int | None:
        allowance = None if self.allowance is None or not limits.adaptive else int(self.allowance)
        both = [places for places in (limits.max_concurrent, allowance) if places is not None]
        return min(both) if both else None

    def _slowed(self, limits: Limits, retry_after: float | None, now: float) -> Account:
        """One pause for everybody; refusals of calls that were out when it began do not prolong it by themselves."""
        if retry_after is None and now < self.paused_until:
            return self
        fresh = now >= self.paused_until
        pauses = self.pauses + 1 if fresh else self.pauses
        pause = retry_after
        if pause is None:
            pause = min(FIRST_PAUSE_SECONDS * 2 ** (pauses - 1), LAST_PAUSE_SECONDS)
        allowance = self.allowance
        if limits.adaptive and fresh:
            allowance = max((self.out + 1 if allowance is None else allowance) / 2, 1.0)
        until = max(self.paused_until, now + pause)
        # The service answered, if only to refuse: it is not down, and a probe that got this has found it.
        breaker = self.breaker.succeeded(now)
        return msgspec.structs.replace(self, paused_until=until, pauses=pauses, allowance=allowance, breaker=breaker)

    def _grown(self, limits: Limits, call: Ended) -> float | None:
        """Additive increase, multiplicative decrease (RFC 5681): one more place for each round of good answers."""
        if self.allowance is None or call.failure or not call.sent:
            return self.allowance
        grown = self.allowance + 1 / self.allowance
        return grown if limits.max_concurrent is None else min(grown, float(limits.max_concurrent))


def _taken(pace: Pace, per_minute: int | None, amount: int, now: float) -> Pace:
    return pace.granted(per_minute, amount, now) if per_minute else pace
