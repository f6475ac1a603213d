"""A run as a subprocess: its processes by role, blows against them, and what they leave behind."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from actors.identity import Identity
from tests.kit.processes.waiting import PATIENCE_SECONDS, wait_until

T = TypeVar("T")
COMMAND = str(Path(sys.executable).with_name("elspeth"))
DATABASE = Path("runs/audit.db")


def descendants_of(pid: int) -> list[int]:
    """The process ids of all living processes below a process: its children, theirs, and so on."""
    return [below for child in children_of(pid) for below in (child, *descendants_of(child))]


def children_of(pid: int) -> list[int]:
    """The process ids of all living children of a process, in no order."""
    found: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):
                found += map(int, (thread / "children").read_text(encoding="ascii").split())
    return [child for child in found if state_of(child) not in ("", "Z", "X")]


def state_of(pid: int) -> str:
    """The letter of proc(5), empty if there is no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return text[text.rindex(")") + 2]


def title_of(pid: int) -> str:
    """What `ps` shows of a process: for a child of a run "elspeth RUN ROLE"."""
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return ""
    return text.rstrip(b"\0").decode(errors="replace")


class Tree:
    """An `elspeth` command that drives a run in `folder`, and the processes below it.

    Used as a context manager it leaves no process of its own behind, whatever the test does.
    """

    def __init__(
        self, folder: Path, *words: str, environ: dict[str, str] | None = None, before: Callable[[], None] | None = None
    ) -> None:
        """`before` is called in the new process, before it is the command."""
        self.folder = folder
        self._log, self._result = (folder / f"{name}-{time.monotonic_ns()}" for name in ("log", "result"))
        with self._log.open("wb") as log, self._result.open("wb") as result:
            self.popen = subprocess.Popen(
                [COMMAND, *words], cwd=folder, stdin=subprocess.DEVNULL, stdout=result, stderr=log,
                env={**os.environ, "NO_COLOR": "1", **(environ or {})}, preexec_fn=before,
            )  # fmt: skip
        self.pid = self.popen.pid
        self._known: dict[int, Identity] = {}

    @classmethod
    def run(cls, folder: Path, *more: str, **options: Any) -> Tree:
        """Start the pipeline of the folder."""
        return cls(folder, "run", "--settings", "pipeline.yaml", "--execute", *more, **options)

    @classmethod
    def resume(cls, folder: Path, *more: str, **options: Any) -> Tree:
        """Resume the latest run of the folder."""
        return cls(folder, "resume", "latest", *more, **options)

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        remains = self.children()
        with suppress(ProcessLookupError):
            self.popen.kill()
        self.popen.wait()
        for pid in remains.values():
            if title_of(pid).startswith("elspeth "):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def children(self) -> dict[str, int]:
        """The pids of the living processes by name: fork_server (the others are forked from it), audit, ..."""
        found = {}
        for pid in descendants_of(self.pid):
            words = title_of(pid).split(" ")
            if words[0] == "elspeth" and (len(words) == 3 or words[1:] == ["fork_server"]):
                found[words[-1]] = pid
                if pid not in self._known:
                    with suppress(ProcessLookupError):
                        self._known[pid] = Identity.of(pid)
        return found

    def child(self, name: str) -> int:
        """The pid of a child, as soon as it is there."""

        def look() -> int | None:
            assert self.running or name in self.children(), f"the run ended without {name}:\n{self.log}"
            return self.children().get(name)

        return wait_until(look, f"child {name}")  # type: ignore[return-value]

    def strike(self, name: str, number: signal.Signals = signal.SIGKILL) -> int:
        """Send a signal to a child, or to the main process ("main"); answers the pid that was hit."""
        pid = self.pid if name == "main" else self.child(name)
        os.kill(pid, number)
        return pid

    @property
    def running(self) -> bool:
        """Whether the main process has not ended."""
        return self.popen.poll() is None

    @property
    def log(self) -> str:
        """All that was printed so far: what was said, then the result."""
        return self._log.read_text(encoding="utf-8", errors="replace") + self.result

    @property
    def result(self) -> str:
        """What was printed to the standard output."""
        return self._result.read_text(encoding="utf-8", errors="replace")

    def wait(self, timeout: float = PATIENCE_SECONDS) -> int:
        """The exit code; negative for a signal."""
        try:
            return self.popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"not ended after {timeout} s; {self.children()}:\n{self.log}") from None

    def survivors(self) -> list[str]:
        """Processes of this tree that were seen once and are there still, by title."""
        return [title_of(pid) for pid, identity in self._known.items() if identity.state() != "gone"]


# -- what is on record ---------------------------------------------------------------------------------------------


def query(folder: Path, sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Ask the audit database of a folder; no answer where there is none yet."""
    path = folder / DATABASE
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
    try:
        return connection.execute(sql, values).fetchall()
    except sqlite3.OperationalError as error:
        if "no such table" in str(error):
            return []
        raise
    finally:
        connection.close()


def committed(folder: Path) -> int:
    """Rows committed so far, over all runs of the folder."""
    found = query(folder, "SELECT count(*) FROM rows")
    return int(found[0][0]) if found else 0


def run_of(folder: Path) -> tuple[str, str, int]:
    """Id, status and attempt of the latest run."""
    return query(folder, "SELECT run_id, status, attempt FROM runs ORDER BY run_id DESC LIMIT 1")[0]  # type: ignore[return-value]


def events(folder: Path, name: str) -> list[dict[str, Any]]:
    """What happened to the tree under this name, in order: child, pid, attempt, at, and the details."""
    found = query(
        folder, "SELECT child, pid, attempt, at, detail FROM supervision_events WHERE event = ? ORDER BY event_id", name
    )
    return [
        {"child": child, "pid": pid, "attempt": attempt, "at": at, **(json.loads(detail) if detail else {})}
        for child, pid, attempt, at, detail in found
    ]


def outputs(folder: Path) -> dict[str, str]:
    """SHA-256 of every file in the output folder."""
    files = sorted((folder / "output").iterdir())
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def pending(pid: int, number: signal.Signals) -> bool:
    """Whether this signal waits to be taken by the process (`ShdPnd` in proc(5))."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    mask = next(line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd"))
    return bool(int(mask, 16) >> (number - 1) & 1)


def driven(folder: Path, *, most: int = 8) -> tuple[list[int], str]:
    """How the attempts of a run end that is resumed until it is complete, and what the last one said.

    Each is a process group of its own, so that a row can kill all of it.
    """
    ends: list[int] = []
    while not ends or (ends[-1] != 0 and len(ends) < most):
        start = Tree.resume if ends else Tree.run
        with start(folder, before=os.setsid) as tree:
            ends.append(tree.wait())
        wait_until(partial(_gone, tree.pid), "the end of all that it began")
    return ends, tree.log


def assert_set_aside(folder: Path, ends: list[int], log: str) -> None:
    """What killed every attempt of a driven run was found by two more after the second that died at one place.

    Of these one went row by row, and in the other it was known; the last went on without it. An attempt that committed
    rows dies at another place than the one before it: the first two are at one place, where processes got their turn.
    """
    query_of = "SELECT count(*) FROM rows JOIN commits USING (run_id, commit_no) WHERE attempt <= ?"
    committed = [query(folder, query_of, attempt)[0][0] for attempt in range(1, len(ends) + 1)]
    second = next(number for number in range(1, len(ends)) if committed[number] == committed[number - 1])
    assert ends == [-9] * (second + 3) + [0], (committed, log)


def _gone(group: int) -> bool:
    """Whether no process of the group holds anything any more."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
            if int(of) == group and (state not in "ZX" or len(list((stat.parent / "task").iterdir())) > 1):
                return False  # of one whose first thread has ended another may still wait for the disk
    return True
