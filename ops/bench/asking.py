"""What it costs to ask a service about each row: a fake provider in a process of its own answers after a while."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

from elspeth.calls.journal.entries import CallKey, Intent
from elspeth.calls.journal.journal import Journal, journal_folder
from elspeth.calls.journal.storage import Disk, stem_of
from elspeth.calls.model import Exchange
from ops.bench.comparing import Figure, Size, alternating
from ops.bench.tree import Tree
from ops.bench.trial import ROOT, Workspace, run, threshold

AT_ONCE, ANSWER_SECONDS = 300, 0.5
POOL, MEDIAN_SECONDS = 50, 0.4
WORKERS = 2
"""Processes that ask, one for each processor: the threads of one take turns."""


def calls(space: Workspace, size: Size) -> list[Figure]:
    """Calls a second with many in flight and their processor time; a pool against the time it takes at best."""
    rows = size.waiting * 5
    ideal = _seconds(rows) / POOL
    with (
        _provider("--seconds", str(ANSWER_SECONDS)) as even,
        _provider("--seconds", str(MEDIAN_SECONDS), "--lognormal") as uneven,
    ):
        spent: dict[int, list[float]] = {1: [], rows: []}

        def asked(url: str, count: int, pool: int) -> float:
            with space.trial("calls") as folder:
                tree = Tree()
                took = run(folder, _settings(space.input(count), url, pool), tree)
                if url == even:
                    spent[count].append(sum(tree.seconds.values()))
                return took

        took = alternating(
            size.rounds,
            {
                "one call": lambda: asked(even, 1, AT_ONCE),
                f"{AT_ONCE} at once": lambda: asked(even, rows, AT_ONCE),
                f"pool of {POOL}": lambda: asked(uneven, rows, POOL),
            },
        )
    start = took["one call"] - ANSWER_SECONDS
    rate = rows / (took[f"{AT_ONCE} at once"] - start)
    processor = (median(spent[rows]) - median(spent[1])) / (rows - 1) * 1000
    pooled = (took[f"pool of {POOL}"] - start) / ideal
    return [
        Figure(f"calls a second, {AT_ONCE} at once, answers after 0.5 s", rate, 500),
        Figure("processor time of a call, all processes", processor, 1.5, most=True, unit="ms"),
        Figure(f"{rows:,} rows, pool of {POOL}, against the ideal time", pooled, 1.15, most=True, unit="x"),
        Figure("journal of calls, a call", _journal(space, size), 0.4, most=True, unit="ms"),
    ]


def _seconds(rows: int) -> float:
    """How long the provider takes for so many answers one after the other, as it draws them."""
    chance = random.Random(1)
    return sum(MEDIAN_SECONDS * chance.lognormvariate(0, 0.5) for _ in range(rows))


@contextmanager
def _provider(*words: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.kit.provider", *words]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.stdout.readline().strip()
        process.stdin.close()


def _settings(source: Path, url: str, pool: int) -> dict[str, Any]:
    settings = threshold(source, "every_n")
    del settings["gates"], settings["sinks"]["high_values"]
    options = {"provider": "fake", "model": "m", "prompt_template": "About {{ row.id }}"}
    return {
        **settings,
        "concurrency": {"max_workers": WORKERS},
        "providers": {"fake": {"kind": "openai", "base_url": url}},
        "transforms": [{"plugin": "llm", "options": options, "pool_size": pool}],
    }


def _journal(space: Workspace, size: Size) -> float:
    """Milliseconds for the entries of a call, the disk's share of the answer's included, one call after the other."""
    with space.trial("journal") as folder:
        storage = Disk(journal_folder(folder, "00000000"), stem_of(1, "worker-1"))
        journal = Journal(storage, "00000000", 1, "worker-1")
        answer = Exchange(outcome="answered", text="yes " * 250)
        started = time.perf_counter()
        for row in range(size.waiting):
            key = CallKey(f"00000000-{row:09d}", "ask", "llm", f"{row:064d}")
            intent = Intent(key, 1, "2026-01-31T00:00:00.000Z", "recorded", '{"text":"' + "ask " * 250 + '"}', 0)
            journal.conclude(journal.intend(intent, durable=False), answer, Decimal("0.25"))
        return (time.perf_counter() - started) / size.waiting * 1000
