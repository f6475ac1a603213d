"""Callers in several workers against one account, in simulated time: what the service sees, and when."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from elspeth.calls.limits.account import Account, Ended, Grant, Limits


@dataclass
class Seen:
    """What arrived at the service: (time, tokens); the most that were out at once, and why callers waited."""

    arrived: list[tuple[float, int]] = field(default_factory=list)
    most_out: int = 0
    waits: set[str] = field(default_factory=set)

    def most_in_a_minute(self) -> tuple[int, int]:
        """The most requests, and the most tokens, in any sixty seconds that end with an arrival."""
        arrived, first, total, most = sorted(self.arrived), 0, 0, (0, 0)
        for place, (time, tokens) in enumerate(arrived):
            total += tokens
            while arrived[first][0] <= time - 60.0:
                total -= arrived[first][1]
                first += 1
            most = max(most[0], place + 1 - first), max(most[1], total)
        return most


class Simulation:
    """Every caller of every worker asks, sends when it may, and asks again as soon as it has its answer."""

    def __init__(self, limits: Limits, *, seed: int, largest: int = 1, on_the_way: float = 0.9) -> None:
        self.limits, self.largest, self.on_the_way = limits, largest, on_the_way
        self.random, self.account, self.seen = Random(seed), Account(), Seen()
        self.queue: list[tuple[float, int, Callable[[float], None]]] = []
        self.number = self.out = 0

    def run(self, *, workers: int, callers: int, seconds: float) -> Seen:
        for _ in range(workers * callers):
            self.later(self.random.uniform(0, 0.01), self.asks(self.random.randint(1, self.largest)))
        while self.queue and self.queue[0][0] <= seconds:
            now, _, happens = heapq.heappop(self.queue)
            happens(now)
        return self.seen

    def later(self, time: float, happens: Callable[[float], None]) -> None:
        self.number += 1
        heapq.heappush(self.queue, (time, self.number, happens))

    def asks(self, tokens: int) -> Callable[[float], None]:
        def happens(now: float) -> None:
            self.account, grant = self.account.ask(self.limits, tokens, now)
            if grant.wait > 0:
                self.seen.waits.add(grant.why)
                self.later(now + min(grant.wait, 5.0) + self.random.uniform(1e-6, 0.05), happens)
                return
            arrives, actual = now + self.random.uniform(0, self.on_the_way), self.random.randint(1, tokens)
            self.seen.arrived.append((arrives, actual))
            self.out += 1
            self.seen.most_out = max(self.seen.most_out, self.out)
            self.later(arrives + self.random.lognormvariate(-1, 0.5), self.ends(grant, actual))

        return happens

    def ends(self, grant: Grant, tokens: int) -> Callable[[float], None]:
        def happens(now: float) -> None:
            self.account = self.account.ended(self.limits, Ended(grant=grant, tokens=tokens), now)
            self.out -= 1
            self.later(now, self.asks(self.random.randint(1, self.largest)))

        return happens
