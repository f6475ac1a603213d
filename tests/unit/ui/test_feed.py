"""What many watch is looked at once, and no more than it may cost."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from elspeth.errors import SettingsError
from elspeth.runs.views.ui.feed import SHARE, Feed, pause
from elspeth.runs.views.ui.looks import RUNS, Seen
from elspeth.runs.views.ui.questions import understood

Scene = Callable[[Feed], Awaitable[None]]


class Looks:
    """Looks of which each sees something new, as far as there is any; counted by topic."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.made: dict[str, int] = {}
        self.looks = 0

    def __call__(self, topic: str, known: Seen | None, patient: bool) -> Seen:
        self.looks += 1
        if known is not None and (topic == RUNS or self.made[topic] == self.most):
            return known
        self.made[topic] = self.made.get(topic, 0) + 1
        return Seen(self.made[topic], None, f"{topic}{self.made[topic]}".encode())


def played(looks: Looks, scene: Scene) -> None:
    async def play() -> None:
        with ThreadPoolExecutor(1) as thread:
            feed = Feed(looks, thread, least=0.0)
            looking = asyncio.create_task(feed.keep_looking())
            try:
                await scene(feed)
            finally:
                looking.cancel()
                await asyncio.gather(looking, return_exceptions=True)

    asyncio.run(play())


def test_looking_takes_its_share_of_a_processor_and_no_more() -> None:
    for cost, viewers in itertools.product((0.0, 0.001, 0.02, 0.5, 10.0), (1, 20)):
        assert pause(cost) >= 1.0
        assert cost / (cost + pause(cost)) <= SHARE, viewers


def test_what_twenty_watch_is_made_once() -> None:
    looks = Looks(5)

    async def scene(feed: Feed) -> None:
        async def watch() -> None:
            with feed.viewer("run") as viewer:
                while b"run5" not in await viewer.next():
                    pass

        await asyncio.gather(*(watch() for _ in range(20)))
        assert feed.viewers == 0

    played(looks, scene)
    assert looks.made == {RUNS: 1, "run": 5}


def test_who_comes_later_is_given_what_is_known() -> None:
    looks = Looks(1)

    async def scene(feed: Feed) -> None:
        with feed.viewer("run") as first:
            seen: list[bytes] = []
            while len(seen) < 2:
                seen += await first.next()
            with feed.viewer("run") as second:
                assert sorted(await second.next()) == sorted(seen)

    played(looks, scene)
    assert looks.made == {RUNS: 1, "run": 1}


def test_a_slow_reader_is_spared_what_was_overtaken() -> None:
    looks = Looks(50)

    async def scene(feed: Feed) -> None:
        with feed.viewer("run") as quick, feed.viewer("run") as slow:
            while b"run50" not in await quick.next():
                pass
            assert b"run50" in await slow.next()

    played(looks, scene)


def test_nobody_looks_while_nobody_watches() -> None:
    looks = Looks(1)

    async def scene(feed: Feed) -> None:
        with feed.viewer("run") as viewer:
            await viewer.next()
        assert feed.topics == {}
        await rounds(feed)  # what was under way ends
        before = looks.looks
        await rounds(feed)
        assert looks.looks == before
        with feed.viewer("other") as viewer:
            while b"other1" not in await viewer.next():
                pass

    async def rounds(feed: Feed) -> None:
        for _ in range(20):
            await asyncio.get_running_loop().run_in_executor(feed.executor, int)

    played(looks, scene)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("42", ("row", "42")), (" 0 ", ("row", "0")), ("mf3k2a9x-000000042", ("row", "000000042")),
        ("mf3k2a9x-000000042.left", ("token", "mf3k2a9x-000000042.left")), ("id=1543", ("field", "id=1543")),
        ("a=b=c", ("field", "a=b=c")), ("mf3k2a9x-x=1", ("token", "mf3k2a9x-x=1")),
    ],
)  # fmt: skip
def test_a_row_is_asked_for_by_number_id_token_or_field(asked: str, found: tuple[str, str]) -> None:
    assert understood(asked, "mf3k2a9x") == found


@pytest.mark.parametrize("asked", ["", "x", "-1", "٤٢", "9" * 19, "otherrun-000000001", "../../etc/passwd"])
def test_what_names_no_row_is_said(asked: str) -> None:
    with pytest.raises(SettingsError, match="names no row of run mf3k2a9x"):
        understood(asked, "mf3k2a9x")
