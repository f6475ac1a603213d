from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from tests.crash.chaos import ROLES, InFiles, Storm, Tally
from tests.kit.postgres.databases import Database
from tests.kit.postgres.runs import OnServer
from tests.kit.processes.family import open_descriptors
from tests.kit.processes.tree import Tree, children_of

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


class OnAServer(InFiles):
    """Runs whose database is on a server: a schema for each. When one is complete its record is copied into a file."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._schemas: dict[Path, OnServer] = {}

    def _of(self, folder: Path) -> OnServer:
        if folder not in self._schemas:
            schema = self._database.another_schema(folder.name.replace("-", "_"))
            self._schemas[folder] = OnServer(schema, folder)
        return self._schemas[folder]

    def run(self, folder: Path) -> Tree:
        return self._of(folder).run()

    def resume(self, folder: Path) -> Tree:
        return self._of(folder).resume()

    def status(self, folder: Path) -> str | None:
        return self._of(folder).latest()[1] if self._of(folder).begun() else None

    def left(self, folder: Path) -> list[str]:
        held = self._database.ask("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")[0][0]
        return [f"{held} locks are held on the server"] if held else []

    def bring(self, folder: Path) -> None:
        self._of(folder).elspeth("copy", "latest", "--to", "runs/audit.db")


@pytest.mark.parametrize("blows", [10, pytest.param(300, marks=pytest.mark.campaign)])
def test_so_they_do_with_a_server(blows: int, postgres: Database, tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    storm = Storm(tmp_path, seed, runs=OnAServer(postgres))
    tally = storm.blow_until(lambda tally: sum(tally.blows.values()) >= blows)
    assert tally.violations == []
