from __future__ import annotations

import os
import random
import signal
from itertools import groupby

import psutil

from actors import ChildDown, ChildUp, FrameReceived
from tests.kit.processes.family import Family, open_descriptors
from tests.kit.processes.waiting import wait_until

NAMES = ("one", "two", "three")


def test_forty_blows_at_random_moments_break_no_order_and_leak_nothing() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown when the test fails
    chance = random.Random(seed)
    with Family() as family:
        pids = {name: family.start(name) for name in NAMES}
        descriptors = open_descriptors()
        deaths = dict.fromkeys(NAMES, 0)
        for _ in range(40):
            name = chance.choice(NAMES)
            count, before = chance.randrange(20), len(family.frames(name))
            for number in range(count):
                family.send(name, b"ping", b"%d" % number, bytes(chance.randrange(200_000)))
            if count and chance.random() < 0.5:  # half of the blows hit a child that is in the middle of it
                wait_until(lambda name=name, before=before: len(family.frames(name)) > before)
            os.kill(pids[name], chance.choice((signal.SIGKILL, signal.SIGSEGV)))
            deaths[name] += 1
            family.await_down(name, deaths[name])
            assert not psutil.pid_exists(pids[name])
            family.supervisor.restart_child(name, counted=False).get()
            pids[name] = wait_until(
                lambda name=name: len(ups := family.ups(name)) == deaths[name] + 1 and ups[-1].identity.pid
            )
        for name in NAMES:
            family.send(name, b"ping", b"the end")
            wait_until(lambda name=name: family.frames(name)[-1:] == [[b"pong", b"the end"]])
        assert open_descriptors() == descriptors
        for name in NAMES:
            check_lives([event for event in family.told if event.name == name], deaths[name] + 1)


def check_lives(events: list[ChildUp | FrameReceived | ChildDown], lives: int) -> None:
    """Each incarnation: up, hello, answers in order and without a gap, down; one after the other."""
    seen = []
    for incarnation, group in groupby(events, key=lambda event: event.incarnation):
        seen.append(incarnation)
        first, *frames, last = group
        assert isinstance(first, ChildUp)
        assert isinstance(last, ChildDown) or incarnation == lives
        numbers = [bytes(frame.parts[1]) for frame in frames if isinstance(frame, FrameReceived)]
        counted = [number for number in numbers if number.isdigit()]
        assert counted == [b"%d" % number for number in range(len(counted))]
    assert seen == list(range(1, lives + 1))
