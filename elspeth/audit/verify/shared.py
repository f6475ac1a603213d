"""Shares the parts of a verification among processes, all of which see the database at the same moment.

What comes out is what one process finds, in its order. Each process holds no more in memory than one alone; one that
is killed ends the verification, since nobody knows what it would have found.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Protocol

import msgspec

from actors.import_path import import_path
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import is_sqlite
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database
from elspeth.audit.store.place import wire
from elspeth.audit.verify import partner, parts
from elspeth.audit.verify.parts import Found, Part
from elspeth.errors import Temporary, from_value

LARGE = 300_000
"""Records of a run from which on it is shared: one process takes some seconds for them."""

MOST = 4
"""Processes: the largest table is nearly half of the work, and one of them has it."""

TRIES = 5
"""For a moment at which nobody else writes, so that all processes see the same."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is verified: `key` is the signing key; `alone`, as in an export: no other run is there."""

    run_id: str
    key: bytes | None = None
    alone: bool = False


class Looks(Protocol):
    """Answers what each part of one verification finds."""

    def plan(self, planned: list[Part], /) -> None:
        """Be told which parts are going to be asked for."""

    def __call__(self, part: Part, /) -> Found:
        """What this part finds."""


class Alone:
    """This process looks at everything itself, when it is asked."""

    def __init__(self, connection: Connection, task: Task) -> None:
        self._connection, self._task = connection, task

    def plan(self, planned: list[Part]) -> None:
        """Nothing is looked at before it is asked for."""

    def __call__(self, part: Part) -> Found:
        """Look at it now."""
        return parts.look(self._connection, self._task.run_id, self._task.key, part)


class Shared:
    """Other processes look at the parts, each at one at a time, in the order in which they were planned."""

    def __init__(self, partners: list[Partner]) -> None:
        self._partners = partners
        self._waiting: deque[Part] = deque()
        self._found: dict[Part, Found] = {}
        self._selector = selectors.DefaultSelector()
        for each in partners:
            self._selector.register(each.output, selectors.EVENT_READ, each)

    def plan(self, planned: list[Part]) -> None:
        """Begin with these."""
        self._waiting = deque(planned)
        for each in self._partners:
            self._give(each)

    def __call__(self, part: Part) -> Found:
        """Wait until it was looked at."""
        if part not in self._found and part not in self._waiting and all(part != each.part for each in self._partners):
            self._waiting.appendleft(part)
            for each in self._partners:
                self._give(each)
        while part not in self._found:
            for chosen, _ in self._selector.select():
                self._take(chosen.data)
        return self._found.pop(part)

    def _take(self, each: Partner) -> None:
        answer = each.read()
        if answer is not None and each.part is not None and answer.found is not None:
            self._found[each.part] = partner.from_plain(each.part.about, answer.found)
            each.part = None
            self._give(each)

    def _give(self, each: Partner) -> None:
        if each.part is None and self._waiting:
            each.part = self._waiting.popleft()
            each.send(partner.Look(each.part))

    def close(self) -> None:
        """Wait for nobody any more."""
        self._selector.close()


class Partner:
    """One of the processes. `part` is what it looks at now. Raises `OSError` where none can be started."""

    def __init__(self, order: partner.Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", partner.BOOT, str(os.getpid()), *import_path()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self._held = b""
        self.part: Part | None = None
        self.send(order)

    @property
    def output(self) -> int:
        """The descriptor that its answers come from."""
        assert self._process.stdout is not None
        return self._process.stdout.fileno()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, message: msgspec.Struct) -> None:
        """Send a message, which it answers unless it is the first one."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # its output tells that it ended
            self._process.stdin.write(partner.packed(message))
            self._process.stdin.flush()

    def read(self) -> partner.Answer | None:
        """Its answer, if all of it is there; waits for a piece. Raises what it met, and `Temporary` if it died."""
        piece = os.read(self.output, 1 << 16)
        if not piece:
            raise self._death()
        self._held += piece
        size = int.from_bytes(self._held[: partner.SIZE], "big") + partner.SIZE
        if len(self._held) < max(size, partner.SIZE):
            return None
        body, self._held = self._held[partner.SIZE : size], self._held[size:]
        answer = msgspec.msgpack.decode(body, type=partner.Answer)
        if answer.error is not None:
            raise from_value(answer.error)
        if answer.traceback is not None:
            raise RuntimeError(f"in a process that verifies: {answer.traceback}")
        return answer

    def end(self) -> None:
        """End it: there is nothing that it could lose."""
        self._process.kill()
        with suppress(BrokenPipeError):
            self._process.__exit__(None, None, None)

    def _death(self) -> Temporary:
        code = self._process.wait()
        how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
        asked = f"while it looked at {' '.join(filter(None, self.part))}" if self.part else "while it waited"
        return Temporary(
            f"the verification has no result: process {self.pid}, one of those that shared it, was {how}",
            details=[asked],
            next_step="verify again; on one processor (taskset -c 0 elspeth verify ...) one process does it all",
        )


@contextmanager
def looking(reader: AuditReader, task: Task, processes: int | None = None) -> Iterator[Looks]:
    """Look at the parts of this verification, in a snapshot that all see who look."""
    with ExitStack() as stack:
        partners = _started(stack, reader, task, _wanted(reader, task.run_id) if processes is None else processes)
        if partners and _see_the_same(stack, reader, partners):
            found = Shared(partners)
            stack.callback(found.close)
            yield found
        else:
            stack.enter_context(reader.snapshot())
            yield Alone(reader.connection, task)


def _wanted(reader: AuditReader, run_id: str) -> int:
    (records,) = reader.connection.execute(
        "SELECT sum(record_count) FROM commits WHERE run_id = ?", (run_id,)
    ).fetchone()
    # What somebody wrote there instead of a number is found soon.
    return min(len(os.sched_getaffinity(0)), MOST) if isinstance(records, int | float) and records >= LARGE else 1


def _started(stack: ExitStack, reader: AuditReader, task: Task, count: int) -> list[Partner]:
    """So many processes, none where one would do or the system has none to give."""
    # Who has a snapshot already cannot take another to see what the others see.
    if count < 2 or not sys.executable or reader.connection.in_transaction:
        return []
    partners: list[Partner] = []
    order = partner.Order(wire(reader.path), task.run_id, task.key)
    try:
        for _ in range(count):
            partners.append(Partner(order))
            stack.callback(partners[-1].end)
    except OSError:
        return []
    return partners


def _see_the_same(stack: ExitStack, reader: AuditReader, partners: list[Partner]) -> bool:
    """Begin a snapshot here and there. False where somebody wrote in between, again and again."""
    if not is_sqlite(reader.connection):
        stack.enter_context(reader.snapshot())
        (snapshot,) = reader.connection.execute("SELECT pg_export_snapshot()").fetchone()
        _begin(partners, snapshot)
        return True
    watching = database.open_reader(reader.path)
    stack.callback(watching.close)
    for _ in range(TRIES):
        before = _version(watching)
        with ExitStack() as attempt:
            attempt.enter_context(reader.snapshot())
            reader.connection.execute("SELECT count(*) FROM runs").fetchone()
            _begin(partners, None)
            if _version(watching) == before:
                stack.push(attempt.pop_all())
                return True
    return False


def _begin(partners: list[Partner], snapshot: str | None) -> None:
    for each in partners:
        each.send(partner.Begin(snapshot))
    for each in partners:
        while each.read() is None:
            pass


def _version(connection: Connection) -> int:
    """A number that is another one once anybody else wrote to the file."""
    return int(connection.execute("PRAGMA data_version").fetchone()[0])
