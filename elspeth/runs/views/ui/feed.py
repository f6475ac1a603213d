"""What is shown to all who watch: each topic is looked at by one for all of them, and no more than it may cost."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass

from elspeth.runs.views.ui.looks import RUNS, Seen

LEAST_SECONDS = 1.0
"""Between two looks at a topic."""

CALM = 2
"""So many times longer it takes until mere progress is shown, and the list of runs is made anew."""

SHARE = 0.01
"""So much of a processor looking may take, and sending what was seen, over all topics."""

Look = Callable[[str, Seen | None, bool], Seen]


@dataclass(slots=True)
class Topic:
    """What is known of a topic. `number` grows with each change; the times are those from which it may be looked at,
    or made anew."""

    seen: Seen | None = None
    number: int = 0
    look_due: float = 0.0
    make_due: float = 0.0


def pause(cost: float, share: float = SHARE, least: float = LEAST_SECONDS) -> float:
    """Seconds until the next look, where one took `cost` seconds of a processor: it stays within its share."""
    return max(least, cost / share)


class Viewer:
    """One who watches a run: is given the list of runs and the run, and whenever one has changed that one again.

    Who reads slowly is spared what was overtaken meanwhile.
    """

    def __init__(self, feed: Feed, reference: str) -> None:
        self._feed = feed
        self._given = {RUNS: 0, reference: 0}

    async def next(self) -> list[bytes]:
        """Wait until there is something to be sent."""
        while True:
            news = self._feed.news
            fresh = [
                (name, topic) for name in self._given
                if (topic := self._feed.topics.get(name)) is not None and topic.number > self._given[name]
            ]  # fmt: skip
            if fresh:
                self._given.update({name: topic.number for name, topic in fresh})
                return [topic.seen.message for _, topic in fresh if topic.seen is not None]
            await news.wait()


class Feed:
    """Looks on behalf of all viewers, in a thread of `executor`, while there are any."""

    def __init__(self, look: Look, executor: Executor, least: float = LEAST_SECONDS) -> None:
        self._look = look
        self.executor = executor
        self._least = least
        self._viewers: Counter[str] = Counter()
        self._asked = asyncio.Event()
        self.news = asyncio.Event()
        self.topics: dict[str, Topic] = {}

    @property
    def viewers(self) -> int:
        """How many watch."""
        return self._viewers.total()

    @contextmanager
    def viewer(self, reference: str) -> Iterator[Viewer]:
        """Somebody watches this run as long as the block lasts."""
        self._viewers[reference] += 1
        for name in (RUNS, reference):
            self.topics.setdefault(name, Topic())
        self._asked.set()
        try:
            yield Viewer(self, reference)
        finally:
            self._viewers[reference] -= 1
            if not self._viewers[reference]:
                del self._viewers[reference], self.topics[reference]
            if not self._viewers:
                self.topics.clear()

    def charge(self, reference: str, seconds: float) -> None:
        """So much of a processor it took to send what was seen of a run."""
        if (topic := self.topics.get(reference)) is not None:
            topic.make_due += seconds / self._share

    @property
    def _share(self) -> float:
        """Of one topic for looking, and as much again for making and sending."""
        return SHARE / (2 * max(len(self.topics), 1))

    async def keep_looking(self) -> None:
        """Look at whatever somebody watches, when it is due, until cancelled."""
        while True:
            self._asked.clear()
            for name, topic in list(self.topics.items()):
                if topic.look_due <= time.monotonic():
                    await self._see(name, topic)
            due = min((topic.look_due for topic in self.topics.values()), default=None)
            try:
                async with asyncio.timeout(None if due is None else max(due - time.monotonic(), 0.0)):
                    await self._asked.wait()
            except TimeoutError:
                continue

    async def _see(self, name: str, topic: Topic) -> None:
        before, patient = topic.seen, time.monotonic() < topic.make_due

        def measured() -> tuple[Seen, float]:
            began = time.thread_time()
            return self._look(name, before, patient), time.thread_time() - began

        seen, cost = await asyncio.get_running_loop().run_in_executor(self.executor, measured)
        now, enough = time.monotonic(), pause(cost, self._share, self._least)
        topic.look_due = now + (enough if name != RUNS else max(enough, CALM * self._least))
        if seen is before:
            return
        if name != RUNS:
            # That something has happened is seen soon, however long it takes to make the whole anew.
            topic.look_due, topic.make_due = now + self._least, now + max(enough, CALM * self._least)
        topic.seen, topic.number = seen, topic.number + 1
        news, self.news = self.news, asyncio.Event()
        news.set()
