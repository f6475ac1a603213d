"""Calls that are paid for, while processes die: what was used is paid once, and the rest on record as unknown."""

from __future__ import annotations

import os
import random
import signal
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kit.pipelines.calling import KEY, lay
from tests.kit.processes.tree import Tree, query, run_of
from tests.kit.processes.waiting import wait_until
from tests.kit.provider.server import FakeProvider, by_hash

ROWS, KILLS = 1500, 20
ENVIRONMENT = {"CALLS_KEY": KEY}
PATIENT = "concurrency: {max_workers: 2}\nsupervisor: {max_restarts: 1000, poison_attempts: 1000}\n"


def expected(rows: int) -> str:
    class Question:
        def __init__(self, row: int) -> None:
            self.question = f"about {row}"

    lines = [f"{row},{by_hash(Question(row))}" for row in range(rows)]  # type: ignore[arg-type]
    return "\r\n".join(["id,answer", *lines, ""])


class Driven:
    """A run that is resumed whenever its main process has died."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.attempts = folder, 1
        self.tree = Tree.run(folder, environ=ENVIRONMENT)

    def await_seen(self, provider: FakeProvider, count: int) -> None:
        """Return when the provider has seen so many requests."""
        wait_until(lambda: len(provider.seen) >= count or not self.tree.running)
        assert self.tree.running, self.tree.log

    def kill(self, name: str) -> None:
        """SIGKILL of a process; whoever drives the run goes on."""
        pid = self.tree.pid if name == "main" else self.tree.children().get(name)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if name == "main":
            assert self.tree.wait() == -signal.SIGKILL
            wait_until(lambda: not self.tree.survivors())
            go_on = Tree.resume if query(self.folder, "SELECT 1 FROM runs") else Tree.run
            self.tree, self.attempts = go_on(self.folder, environ=ENVIRONMENT), self.attempts + 1


@pytest.mark.parametrize("honours_keys", [False, True], ids=["without keys", "with keys"])
def test_twenty_kills_pay_twice_only_what_is_on_record_as_unknown(tmp_path: Path, honours_keys: bool) -> None:
    chance, spread = random.Random(11 + honours_keys), random.Random(5)
    header = "idempotency_header: Idempotency-Key" if honours_keys else ""
    with FakeProvider(seconds=lambda _: 0.2 * spread.lognormvariate(0, 0.5), honours_keys=honours_keys) as provider:
        folder = lay(tmp_path / "run", provider.url, ROWS, provider=header, more=PATIENT)
        run = Driven(folder)
        for number in range(1, KILLS + 1):
            run.await_seen(provider, number * ROWS // (KILLS + 2))
            run.kill("main" if number % 4 == 0 else chance.choice(sorted(run.tree.children())))
        with run.tree:
            assert run.tree.wait() == 0, run.tree.log
        assert run.attempts == 1 + KILLS // 4
        paid = Counter(provider.paid)
    assert len(paid) == ROWS
    twice = sum(paid.values()) - ROWS
    [(unknown,)] = query(folder, "SELECT count(*) FROM calls WHERE status = 'unknown'")
    assert twice <= unknown <= KILLS * 50
    assert twice == 0 or not honours_keys
    assert (folder / "output" / "refused.jsonl").read_bytes() == b""
    assert (folder / "output" / "out.csv").read_bytes().decode() == expected(ROWS)
    used = query(
        folder,
        "SELECT json_extract(request_data, '$.messages[0].content') || json_extract(response_data, '$.text') FROM calls"
        " WHERE status = 'answered' ORDER BY call_id",
    )
    assert [f"{said}" for (said,) in used] == [
        "about " + line.replace(",", "") for line in expected(ROWS).split("\r\n")[1:-1]
    ]
    assert not list((folder / "state").rglob("*.calls"))
    assert Tree(folder, "verify", run_of(folder)[0]).wait() == 0
