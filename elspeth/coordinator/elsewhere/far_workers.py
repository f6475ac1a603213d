"""The workers of a cluster as an attempt sees them: who is there, who is asked for again, what is waited for. Pure.

A place that is lost is nobody's fault and is asked for again, each time later, so that a node that comes and goes keeps
nobody busy. Where no worker is left anywhere, rows wait; when that has gone on for too long, the attempt gives way.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from elspeth.canonical import JsonObject
from elspeth.coordinator.names import worker_number
from elspeth.errors import ConfigurationMismatch, Temporary

FIRST_DELAY, LONGEST_DELAY = 0.5, 30.0
STEADY_SECONDS = 60.0
"""A worker that was there for so long is asked for as if it had never been lost."""

PATIENCE_SECONDS = 15.0
"""So long a worker may wait for room before it is said that there is none: to begin one takes seconds, too."""

AGAIN_SECONDS = 30.0
"""How many workers there are is said again at most so often."""


@dataclass(frozen=True, slots=True)
class ClusterTerms:
    """What an attempt asks of a cluster.

    In any thread `waiting` answers which workers have found no room, and `nodes` which nodes are known, once it was
    reached. `facts` is what goes on record of it.
    """

    workers: int = 0
    outage_seconds: float = 600.0
    waiting: Callable[[], Collection[str]] = tuple
    nodes: Callable[[], Collection[object]] = lambda: (None,)
    facts: JsonObject = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Absent:
    """No worker is left: why, and for how many seconds the attempt will wait yet."""

    why: str
    seconds: float

    def __str__(self) -> str:
        left = f"; gives way in {self.seconds:,.0f} s" if self.seconds >= 1 else ""
        return f"waiting for the cluster: {self.why}{left}"


@dataclass(slots=True)
class _Worker:
    """A worker that was asked for. `since` is when it came, or was asked for; `due` when it is asked for again."""

    since: float
    up: bool = False
    losses: int = 0
    due: float | None = None
    without_room: bool = False


class FarWorkers:
    """Those with numbers above `here`. `now` are seconds of a clock that does not go back; `notify` takes sentences."""

    def __init__(self, terms: ClusterTerms, here: int, notify: Callable[[str], None], now: float = 0.0) -> None:
        self._terms, self._here, self._notify = terms, here, notify
        self._workers: dict[str, _Worker] = {}
        self._none_since: float | None = now
        self._lost = ""
        self._reached = False
        self._known_since: float | None = None  # since when a node is known
        self._told, self._told_at = (0, False), now

    def has(self, child: str) -> bool:
        """Whether this child is one of them."""
        return bool(self._terms.workers) and child.startswith("worker-") and worker_number(child) > self._here

    def asked(self, child: str, now: float) -> None:
        """It is asked for, for the first time or again."""
        if self.has(child):
            worker = self._workers.setdefault(child, _Worker(now))
            worker.since, worker.up, worker.due, worker.without_room = now, False, None, False

    def came(self, child: str, now: float) -> None:
        """It takes work."""
        if self.has(child):
            worker = self._workers.setdefault(child, _Worker(now))
            worker.since, worker.up, worker.without_room = now, True, False
            self._none_since, self._reached = None, True

    def went(self, child: str, now: float) -> None:
        """It died, of itself or of a row; its successor is asked for at once."""
        if self.has(child) and child in self._workers:
            self._workers[child].up = False
            self._look_whether_any_is_left(now)

    def lost(self, child: str, why: str, now: float) -> None:
        """Its place was lost, or would not begin it, and it with it; it is asked for again later."""
        worker = self._workers.setdefault(child, _Worker(now))
        if worker.up and now - worker.since >= STEADY_SECONDS:
            worker.losses = 0
        worker.up, worker.without_room = False, False
        worker.due = now + min(LONGEST_DELAY, FIRST_DELAY * 2**worker.losses)
        worker.losses = min(worker.losses + 1, 20)
        self._lost = why
        self._look_whether_any_is_left(now)

    def postponed(self, child: str) -> bool:
        """Whether it is asked for again later, and not now."""
        worker = self._workers.get(child)
        return worker is not None and worker.due is not None

    def due(self, now: float) -> list[str]:
        """Who is to be asked for again now."""
        return [child for child, worker in self._workers.items() if worker.due is not None and worker.due <= now]

    def look(self, now: float) -> list[str]:
        """Who has found no room for as long as a cluster may take to make some; each is told once."""
        if not self._workers:
            return []
        if self._known_since is None and self._terms.nodes():
            self._known_since = now
        if self._known_since is None:
            return []  # it has yet to be reached
        waiting, late = self._terms.waiting(), now - PATIENCE_SECONDS
        news = [
            child
            for child, worker in self._workers.items()
            if child in waiting
            and not (worker.without_room or worker.up)
            and max(worker.since, self._known_since) <= late
        ]
        for child in news:
            self._workers[child].without_room = True
        self._tell(now)
        return news

    def absent(self, now: float) -> Absent | None:
        """What rows wait for, where no worker is left; None if there is one, here or there."""
        if self._here or not self._workers or self._none_since is None:
            return None
        return Absent(self._why(), self._terms.outage_seconds - (now - self._none_since))

    def unreachable(self, run_id: str) -> Temporary | None:
        """The end of an attempt that has not reached its cluster at all, when a worker was lost for that."""
        if self._reached or not self._lost or self._terms.nodes():
            return None
        return Temporary(
            f"the cluster cannot be reached: {self._lost.removeprefix('lost: ')}",
            next_step=f"see that it runs and cluster.address is right, then elspeth resume {run_id}",
        )

    def outage(self, now: float, run_id: str) -> Temporary | None:
        """The end of an attempt that has waited for too long."""
        absent = self.absent(now)
        if absent is None or absent.seconds > 0:
            return None
        return Temporary(
            f"the cluster has had no worker for {self._terms.outage_seconds:,.0f} s: {absent.why}",
            next_step=f"when it is back: elspeth resume {run_id}   or go on without it: "
            f"elspeth resume {run_id} --set cluster=null --set concurrency.max_workers=4",
        )

    def _why(self) -> str:
        if any(worker.without_room for worker in self._workers.values()):
            return f"it has no room for any of {_count(self._terms.workers)}"
        if self._lost:
            return self._lost
        return f"{_count(self._terms.workers)} asked for, none is there yet" if self._known_since else "to be reached"

    def _look_whether_any_is_left(self, now: float) -> None:
        if self._none_since is None and not any(worker.up for worker in self._workers.values()):
            self._none_since = now

    def _tell(self, now: float) -> None:
        """Say how many there are, when that is news and there are not all of them."""
        there = sum(worker.up for worker in self._workers.values())
        short = any(worker.without_room for worker in self._workers.values())
        if (there, short) == self._told or (now - self._told_at < AGAIN_SECONDS and self._told != (0, False)):
            return
        if short:
            self._notify(f"{there} of {_count(self._terms.workers)}; the cluster has no room for more")
        elif self._told[1]:
            self._notify(f"{there} of {_count(self._terms.workers)}")
        else:
            return
        self._told, self._told_at = (there, short), now


def refused(child: str, lost: str) -> ConfigurationMismatch:
    """A node that is something else than what drives the run: no row may be decided there."""
    return ConfigurationMismatch(
        f"Configuration mismatch: {child} cannot run in the cluster: {lost}",
        next_step="install there what is installed here (the same Elspeth, Python and packages), then resume",
    )


def _count(workers: int) -> str:
    return "1 worker" if workers == 1 else f"{workers:,} workers"
