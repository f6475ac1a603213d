"""What /proc says of a process: whether it is there, since when, and what it uses. Light enough for a child."""

from __future__ import annotations

import os
from typing import NamedTuple

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


class Stat(NamedTuple):
    """`state` is the letter of proc(5); times are in clock ticks, the start counted from boot; memory in bytes."""

    state: str
    cpu_ticks: int
    start_ticks: int
    resident_bytes: int


def stat(pid: int) -> Stat | None:
    """The process with this id, or None if there is none (a zombie is none: only its exit code is left).

    Raises `FileNotFoundError` where there is no /proc: then nobody can be told from nobody.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib is an import of 6 ms
            text = file.read()
    except (FileNotFoundError, ProcessLookupError):
        if not os.path.exists("/proc/self/stat"):  # noqa: PTH110
            raise
        return None
    fields = text[text.rindex(b")") + 2 :].split()  # the name in brackets may hold anything, brackets too
    state = fields[0].decode()
    if state in "ZX":
        return None
    return Stat(state, int(fields[11]) + int(fields[12]), int(fields[19]), int(fields[21]) * PAGE_BYTES)


def start_ticks(pid: int) -> int | None:
    """When the process with this id started, in clock ticks since boot; None if there is none.

    Unlike the time of day that psutil makes of it, this does not move when somebody sets the clock.
    """
    found = stat(pid)
    return found and found.start_ticks
