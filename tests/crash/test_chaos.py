from __future__ import annotations

import os
import random
import threading
from pathlib import Path

from tests.crash.chaos import ROLES, Storm, Tally
from tests.kit.processes.family import open_descriptors
from tests.kit.processes.tree import children_of

BLOWS, PER_ROLE = 200, 10


def test_two_hundred_blows_at_random_leave_nothing_lost_nothing_twice_and_nothing_behind(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}: python -m tests.crash.chaos --seed {seed} --blows {BLOWS}")  # noqa: T201 - shown where it fails
    before = threading.active_count(), open_descriptors()
    there = set(children_of(os.getpid()))  # a server that other tests of this process use, say

    def enough(tally: Tally) -> bool:
        return sum(tally.blows.values()) >= BLOWS and min(tally.blows[role] for role in ROLES) >= PER_ROLE

    tally = Storm(tmp_path, seed).blow_until(enough)
    assert tally.violations == []
    assert tally.resumes >= 3
    assert tally.restarts >= PER_ROLE
    assert (threading.active_count(), open_descriptors()) == before
    assert set(children_of(os.getpid())) <= there
