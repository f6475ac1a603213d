"""What is looked at in a child of this machine, tick by tick: its memory, its deadline, its channel, its progress."""

from __future__ import annotations

import math

from actors import procfs
from actors.hang_detector import HangDetector, Vitals
from actors.heartbeat import BUSY, TAKEN, WAITING
from actors.lifecycle import State
from actors.places.local.process import Process
from actors.places.place import Line
from actors.spec import ChildSpec, not_in_time

DEAF_SECONDS = 2.0
"""How long a living child may be without a channel; one that ends closes it a moment before."""

BURNING = 0.2
"""The share of a CPU that means more than waiting: more than one clock tick of 10 ms in any sensible period."""


class HealthCheck:
    """Looks at one incarnation of a child and says whether it must be killed, and why."""

    def __init__(self, spec: ChildSpec, process: Process, line: Line, tick_seconds: float) -> None:
        self._spec, self._process, self._line, self._tick_seconds = spec, process, line, tick_seconds
        self._hang = HangDetector(math.ceil(spec.hang_seconds / tick_seconds)) if spec.hang_seconds else None
        self._ticks_left: int | None = None
        self._deaf_ticks = 0
        self._cpu_ticks = 0
        self.resident_bytes = 0

    def expect_end(self) -> None:
        """It was asked to stop: from now on it has its `shutdown_seconds`."""
        self._ticks_left = math.ceil(self._spec.shutdown_seconds / self._tick_seconds)

    def look(self, state: State) -> str | None:
        """One look; the reason to kill it, in the words of `ChildDown.reason`, or None."""
        found = self._process.stat()
        if found is None or state is State.KILLED:
            return None  # it ended, or will: the I/O thread will say so
        burned = (found.cpu_ticks - self._cpu_ticks) / procfs.CLOCK_TICKS
        self._cpu_ticks, self.resident_bytes = found.cpu_ticks, found.resident_bytes
        limit = self._spec.memory_limit_bytes
        if limit is not None and found.resident_bytes > limit:
            return "memory"
        if self._deaf():
            return "killed:closed its channel"
        if self._ticks_left is not None:
            self._ticks_left -= 1
            return not_in_time(self._spec) if self._ticks_left < 0 else None
        return self._look_for_hang(state, found, burned >= self._tick_seconds * BURNING)

    def _deaf(self) -> bool:
        if not self._line.open:
            self._deaf_ticks += 1
        return self._deaf_ticks * self._tick_seconds > DEAF_SECONDS

    def _look_for_hang(self, state: State, found: procfs.Stat, burning: bool) -> str | None:
        if self._hang is None:
            return None
        process = self._process
        words = process.heartbeat_page.words
        vitals = Vitals(
            progress=process.heartbeat_page.progress(),
            has_work=bool(words[BUSY]) or self._line.sent > words[TAKEN] or state is State.STARTING,
            waiting=bool(words[WAITING]),
            stopped=found.state in "Tt",
            burning=burning,
        )
        verdict = self._hang.look(vitals)
        if verdict == "nearly" and state is State.RUNNING:
            process.ask_for_stack()
        return "hang" if verdict == "hung" else None
