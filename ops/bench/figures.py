"""What is measured: each function makes its trials and answers figures, each beside what is to be reached."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median

from ops.bench import asking, everyday, on_a_server, resumed, same, workload
from ops.bench.comparing import MIB, QUICK, Figure, Size, alternating
from ops.bench.tree import Tree
from ops.bench.trial import ELSPETH, HERE, ROOT, Workspace, laborious, python, run, threshold, timed


def throughput(space: Workspace, size: Size) -> list[Figure]:
    """The threshold pipeline against the programs that do the same, with and without an audit trail."""
    source = space.input(size.rows)
    sizes: list[int] = []

    def comparison(program: str) -> float:
        with space.trial(program) as folder:
            more = [] if program == "plain" else [folder / "audit.db"]
            return timed(python(program, source, folder / "output", *more), ROOT)

    def ours(checkpoint: str) -> float:
        with space.trial(checkpoint) as folder:
            took = run(folder, threshold(source, checkpoint))
            if checkpoint == "every_n":
                sizes.append((folder / "runs" / "audit.db").stat().st_size)
            return took

    took = alternating(
        size.rounds,
        {
            "plain": lambda: comparison("plain"),
            "bare": lambda: comparison("bare"),
            "bare_texts": lambda: comparison("bare_texts"),
            "every_n": lambda: ours("every_n"),
            "every_row": lambda: ours("every_row"),
        },
    )
    return [
        Figure("throughput against bare", took["bare"] / took["every_n"], 1.2, unit="x"),
        Figure("throughput against bare with texts", took["bare_texts"] / took["every_n"], 1.7, unit="x"),
        Figure("throughput against plain", took["plain"] / took["every_n"], unit="x"),
        Figure("rows per second, every_n 1000", size.rows / took["every_n"]),
        Figure("every_row against every_n 1000", took["every_n"] / took["every_row"], 0.9, unit="x"),
        Figure("audit database per source row", median(sizes) / size.rows, 320, most=True, unit="bytes"),
    ]


def chaining(space: Workspace, size: Size) -> list[Figure]:
    """What a chain over all records adds to a run of the cheapest pipeline."""
    settings = threshold(space.input(size.rows), "every_n")

    def ours(*command: str | Path) -> float:
        with space.trial("chaining") as folder:
            return run(folder, settings, command=command)

    took = alternating(
        size.rounds,
        {"chained": lambda: ours(ELSPETH), "unchained": lambda: ours(sys.executable, HERE / "unchained.py")},
    )
    share = (took["chained"] - took["unchained"]) / took["chained"]
    return [Figure("cost of chaining, of the run's time", share, 0.1, most=True)]


def memory(space: Workspace, size: Size) -> list[Figure]:
    """The memory of all processes together during a large run, and the processor time of each."""
    tree = Tree()
    with space.trial("memory") as folder:
        run(folder, threshold(space.input(size.large), "every_n"), tree)
    spent = [
        Figure(f"processor time of {name}", seconds / size.large * 1e6, unit="us/row")
        for name, seconds in tree.seconds.items()
    ]
    early, late = tree.between(0.05, 0.15), tree.between(0.95, 1.0)
    return [
        Figure("peak memory of all processes", tree.peak() / MIB, 300, most=True, unit="MiB"),
        Figure("memory at 100 % against 10 %", late / early, 1.05, most=True, unit="x"),
        Figure("processor time of all processes", sum(each.reached for each in spent), 24, most=True, unit="us/row"),
        *spent,
    ]


def growth(space: Workspace, size: Size) -> list[Figure]:
    """Time per row of a large input against a small one, start and end of the run taken off."""

    def ours(rows: int) -> float:
        with space.trial("growth") as folder:
            return run(folder, threshold(space.input(rows), "every_n"))

    took = alternating(
        size.rounds,
        {"8": lambda: ours(8), "small": lambda: ours(size.rows), "large": lambda: ours(size.large)},
    )
    small = (took["small"] - took["8"]) / size.rows
    large = (took["large"] - took["8"]) / size.large
    return [Figure("time per row, large against small input", large / small, 1.1, most=True, unit="x")]


def busy(space: Workspace, size: Size) -> list[Figure]:
    """A transform that computes for a millisecond per row, with one worker and with two."""
    source = space.input(size.busy)
    turns = workload.turns_per_millisecond()

    def ours(workers: int) -> float:
        with space.trial("busy") as folder:
            return run(folder, laborious(source, "busy", {"turns": turns}, workers=workers))

    took = alternating(size.rounds, {"1 worker": lambda: ours(1), "2 workers": lambda: ours(2)})
    return [
        Figure("1 ms of Python per row, 2 workers against 1", took["1 worker"] / took["2 workers"], 1.8, unit="x"),
    ]


def waiting(space: Workspace, size: Size) -> list[Figure]:
    """A transform that waits 50 ms per row, one row at a time and twenty; start and end of the run taken off."""
    source = space.input(size.waiting)
    left = {}

    def ours(pool: int, seconds: float = 0.05) -> float:
        with space.trial("waiting") as folder:
            took = run(folder, laborious(source, "waiting", {"seconds": seconds, "pool_size": pool}))
            found = same.records(folder / "runs" / "audit.db")
            left[pool] = ((folder / "output" / "normal.csv").read_bytes(), found)
            return took

    took = alternating(
        size.rounds,
        {"not at all": lambda: ours(1, 0.0), "one at a time": lambda: ours(1), "pool of 20": lambda: ours(20)},
    )
    alone, pooled = took["one at a time"] - took["not at all"], took["pool of 20"] - took["not at all"]
    return [
        Figure("50 ms of waiting per row, pool of 20 against 1", alone / pooled, 15,
               unit="x"),
        Figure("outputs and audit records equal", float(left[1] == left[20]), 1),
    ]  # fmt: skip


def resume(space: Workspace, size: Size) -> list[Figure]:
    """From the command to the first new row committed, at nine tenths of a large run that was killed."""
    with space.trial("resume") as folder:
        settings = threshold(space.input(size.large), "every_n")
        resumed.kill_at(folder, settings, size.large * 9 // 10)
        check_bytes, check_seconds = resumed.check(folder)
        first, whole = [], []
        for _ in range(size.rounds):
            first.append(resumed.first_commit(folder))
            with space.trial("eight") as small:
                whole.append(run(small, threshold(space.input(8), "every_n")))
            print(f"    first new row {first[-1]:.2f} s, 8 rows {whole[-1]:.2f} s", file=sys.stderr, flush=True)
    wait = median(first) - check_seconds
    return [
        Figure("resume: first new row committed, against an 8-row run", wait / median(whole), 3, most=True, unit="x"),
        Figure("resume: check of what is there", check_bytes / check_seconds / 1e6, 500, unit="MB/s"),
    ]


def start(space: Workspace, size: Size) -> list[Figure]:
    """How long people wait for the least that there is to do."""
    rounds = 2 * size.rounds + 1

    def example() -> float:
        with space.trial("example") as folder:
            for name in ("pipeline.yaml", "input.csv"):
                shutil.copy(ROOT / "ops" / "examples" / "threshold" / name, folder)
            return timed([str(ELSPETH), "run", "--settings", "pipeline.yaml", "--execute"], folder)

    took = alternating(
        rounds,
        {
            "example": example,
            "--version": lambda: timed([str(ELSPETH), "--version"], space.folder),
            "import click": lambda: timed([sys.executable, "-c", "import click"], space.folder),
        },
    )
    return [
        Figure("8-row example, whole command", took["example"], 0.8, most=True, unit="s"),
        Figure("--version against `import click`", took["--version"] / took["import click"], 1.5, most=True, unit="x"),
    ]


def explain(space: Workspace, size: Size) -> list[Figure]:
    """The story of one row out of many."""
    with space.trial("explain") as folder:
        run(folder, threshold(space.input(size.large), "every_n"))
        row = str(size.large * 2 // 3)
        took = alternating(
            2 * size.rounds + 1,
            {
                "explain": lambda: timed([str(ELSPETH), "explain", "--row", row], folder),
                "--version": lambda: timed([str(ELSPETH), "--version"], folder),
            },
        )
    what = f"explain of one row in {size.large:,}, against --version"
    return [Figure(what, took["explain"] / took["--version"], 1.5, most=True, unit="x")]


MEASUREMENTS: dict[str, Callable[[Workspace, Size], list[Figure]]] = {
    "start": start,
    "throughput": throughput,
    "chaining": chaining,
    "memory": memory,
    "explain": explain,
    "resume": resume,
    "busy": busy,
    "waiting": waiting,
    "growth": growth,
    "files": everyday.files,
    "keys": everyday.keys,
    "expressions": everyday.expressions,
    "calls": asking.calls,
    "server": on_a_server.server,
}

__all__ = ["MEASUREMENTS", "QUICK", "Figure", "Size"]
