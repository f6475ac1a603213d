"""What follows a try at a request: its answer, another try and when, the row's error, or the end of the run."""

from __future__ import annotations

from random import Random
from typing import Literal

from elspeth.calls.model import Exchange, OnUnknown, Request

Next = Literal["answer", "again", "fail", "stop"]

FIRST_DELAY_SECONDS = 1.0
LAST_DELAY_SECONDS = 60.0


def on_unknown(request: Request, wanted: OnUnknown | None, idempotency_header: str | None) -> OnUnknown:
    """What holds for a call of which nobody knows whether it was carried out, where the settings leave it open."""
    if wanted is not None:
        return wanted
    return "retry" if request.repeatable or idempotency_header else "fail"


def after(exchange: Exchange, tries: int, max_tries: int, unknown: OnUnknown) -> Next:
    """What to do after the try number `tries` (from 1).

    A service that pauses everybody, or cannot be reached, spends no tries of the row: the account's limits wait, and
    its outage bounds how long.
    """
    match exchange.outcome:
        case "answered":
            return "answer"
        case "refused":
            return "fail"
        case "stop":
            return "stop"
        case "unknown" if unknown == "fail":
            return "fail"
        case "never_sent":
            return "again"
    return "again" if exchange.everybody or tries < max_tries else "fail"


def delay(exchange: Exchange, tries: int, random: Random) -> float:
    """Seconds before the next try of this request: what the service asked for, or twice as long each time.

    Jitter keeps requests that failed together from coming back together: half of the delay is by chance (the "equal
    jitter" of M. Brooker, Exponential Backoff And Jitter, 2015). Of a time that the service named nothing is taken off.
    """
    if exchange.retry_after is not None:
        return exchange.retry_after + random.uniform(0.0, min(exchange.retry_after / 10, 1.0))
    longest = min(FIRST_DELAY_SECONDS * 2.0 ** (min(tries, 10) - 1), LAST_DELAY_SECONDS)
    return random.uniform(longest / 2, longest)
