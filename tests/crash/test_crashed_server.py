"""The server crashes, or loses sessions, at many moments of runs: they go on or are resumed, and nothing is lost."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.kit.pipelines.trial import lay, settings
from tests.kit.postgres.databases import Database
from tests.kit.postgres.runs import OnServer
from tests.kit.processes.tree import Tree, outputs
from tests.kit.processes.waiting import wait_until

ROWS = 600
PAUSE_SECONDS = 0.5  # at most, between two blows
AWAY_SECONDS = 0.6  # at most, until the server is started again

OURS = "datname = current_database() AND pid <> pg_backend_pid() AND application_name LIKE 'elspeth%'"


class Blows:
    """Blows against a server, of a kind and at a moment that a seed decides."""

    def __init__(self, database: Database, chance: random.Random) -> None:
        self._database, self._server, self._chance = database, database.server, chance
        self.dealt: Counter[str] = Counter()

    def deal(self) -> None:
        """One of them. The server takes connections again afterwards."""
        kind = self._chance.choice(["crash", "away", "backend killed", "sessions ended", "statements cancelled"])
        if kind == "crash":
            self._server.restart("immediate")
        elif kind == "away":
            self._server.stop("immediate")
            time.sleep(self._chance.uniform(0, AWAY_SECONDS))
            self._server.start()
        elif kind == "backend killed":
            backends = [pid for (pid,) in self._database.ask(f"SELECT pid FROM pg_stat_activity WHERE {OURS}")]
            if not backends:
                return
            self._server.kill_backend(self._chance.choice(backends))
        else:
            how = "pg_terminate_backend" if kind == "sessions ended" else "pg_cancel_backend"
            self._database.ask(f"SELECT {how}(pid) FROM pg_stat_activity WHERE {OURS}")
        self.dealt[kind] += 1


@pytest.mark.parametrize("most", [8, pytest.param(300, marks=pytest.mark.campaign)])
def test_whenever_the_server_fails_nothing_is_lost_and_nothing_twice(
    most: int, postgres: Database, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32) if most > 100 else 15
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    chance = random.Random(seed)
    value = settings(ordered=True, delay=0.004, max_restarts=1_000_000, poison_attempts=1000)
    value["checkpoint"]["checkpoint_interval"] = 5
    calm = lay(tmp_path / "calm", ROWS, value)
    with Tree.run(calm) as tree:
        assert tree.wait() == 0, tree.log
    blows, ends = Blows(postgres, chance), Counter[int]()
    number = 0
    while sum(blows.dealt.values()) < most:
        here = OnServer(postgres.another_schema(f"run{number}"), lay(tmp_path / f"run{number}", ROWS, value))
        number += 1
        tree = here.run()
        while True:
            with tree:
                while tree.running and sum(blows.dealt.values()) < most:
                    wait_for_a_while(chance.uniform(0, PAUSE_SECONDS), tree)
                    blows.deal()
                code = tree.wait()
            ends[code] += 1
            if code != 75:
                break
            tree = here.resume() if here.begun() else here.run()
        assert code == 0, f"{dict(blows.dealt)}: {tree.log}"
        assert outputs(here.folder) == outputs(calm)
        assert here.database.ask("SELECT count(*), count(DISTINCT row_index) FROM rows") == [(ROWS, ROWS)]
        assert here.latest()[1] == "completed"
        here.elspeth("verify", "latest", "--outputs")
    print(f"{dict(blows.dealt)} in {number} runs, which ended with {dict(ends)}")  # noqa: T201


def wait_for_a_while(seconds: float, tree: Tree) -> None:
    """Let the run go on for a while, which makes the moment; less if it ends."""
    until = time.monotonic() + seconds
    wait_until(lambda: not tree.running or time.monotonic() > until)
