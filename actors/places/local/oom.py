"""Which deaths were the kernel's doing because memory ran out, and which limit that was.

The kernel counts the processes it killed for lack of memory: for each control group (`oom_kill` in `memory.events` of
version 2, in `memory.oom_control` of version 1), and for the machine (`oom_kill` in /proc/vmstat). It counts before it
kills, so whoever is found dead finds the count raised.
Source: https://docs.kernel.org/admin-guide/cgroup-v2.html, .../cgroup-v1/memory.html, proc_vmstat(5).
"""

from __future__ import annotations

import os
import resource
from typing import NamedTuple

UNLIMITED = 1 << 60
"""Bytes; version 1 says 'no limit' with a number a little below 2 to the power of 63."""

CLAIM_LOOKS = 20
"""So many looks after a kill was counted a death may still be the one that it is about."""


class MemoryGroup(NamedTuple):
    """The memory control group of a process: its folder, and that of its mount, up to which limits are visible."""

    folder: str
    mount: str
    version: int


def group_of(cgroup: str, mountinfo: str) -> MemoryGroup | None:
    """The memory control group, from the text of a process's `cgroup` and `mountinfo` in /proc; None without one.

    Version 1 goes first where both are mounted: a controller can be in one of them only, and 2 is there always.
    """
    paths = {}
    for line in cgroup.splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers:
            paths[2] = path
        elif "memory" in controllers.split(","):
            paths[1] = path
    for version in sorted(paths):
        for line in mountinfo.splitlines():
            before, _, after = line.partition(" - ")
            fields, (kind, _, options) = before.split(" "), [*after.split(" "), "", "", ""][:3]
            mounted = kind == "cgroup2" if version == 2 else kind == "cgroup" and "memory" in options.split(",")
            if mounted and len(fields) > 4:
                return MemoryGroup(_below(paths[version], fields[3], fields[4]), fields[4], version)
    return None


def _below(path: str, root: str, mount: str) -> str:
    """Where the group lies under the mount, which may show only a part of the hierarchy (a container's)."""
    if root != "/" and (path == root or path.startswith(root + "/")):
        path = path[len(root) :]
    elif root != "/" or "/../" in f"{path}/":  # another namespace's name for it: what is mounted is what we have
        path = "/"
    return os.path.normpath(f"{mount}/{path}")


class OomCounter:
    """Counts the processes that the kernel killed for lack of memory, in this process's group, or on the machine."""

    def __init__(self, proc: str = "/proc") -> None:
        self._proc = proc
        self._group = group_of(_text(f"{proc}/self/cgroup"), _text(f"{proc}/self/mountinfo"))

    def count(self) -> int:
        """How many so far; what cannot be read counts nothing."""
        group = self._group
        if group is not None:
            name = "memory.events" if group.version == 2 else "memory.oom_control"
            if (found := _number(_text(f"{group.folder}/{name}"), "oom_kill")) is not None:
                return found
        return machine_count(self._proc) or 0

    def limit_bytes(self) -> int | None:
        """The lowest limit on the group, its own or one above it, in bytes; None where there is none, or none seen."""
        group = self._group
        if group is None:
            return None
        name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
        folder, limits = group.folder, []
        while folder.startswith(group.mount):
            text = _text(f"{folder}/{name}").strip()
            if text.isdigit() and int(text) < UNLIMITED:
                limits.append(int(text))
            folder = os.path.dirname(folder)  # noqa: PTH120 - pathlib is an import of 6 ms
        return min(limits, default=None)


def machine_count(proc: str = "/proc") -> int | None:
    """How many processes the kernel killed for lack of memory since the machine started; None where it does not say."""
    return _number(_text(f"{proc}/vmstat"), "oom_kill")


def address_space_limit() -> int | None:
    """How much address space this process may have, in bytes (`ulimit -v`), and so may its children; None: no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return None if soft == resource.RLIM_INFINITY else soft


class OomClaims:
    """Hands each counted kill to one death. Pure: counts and looks come in as they are made.

    A kill that nobody claims was that of somebody else's process, or of one that a child had started.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._open: list[int] = []  # looks that are left for each kill

    def look(self, count: int) -> None:
        """The counter stands at `count` at this tick."""
        self._open = [left - 1 for left in self._open if left > 1]
        self._take(count)

    def claim(self, count: int) -> bool:
        """A process was found killed, and the counter stands at `count`: whether the kernel did it for memory."""
        self._take(count)
        if not self._open:
            return False
        self._open.pop(0)
        return True

    def _take(self, count: int) -> None:
        self._open += [CLAIM_LOOKS] * max(0, count - self._count)
        self._count = count


class OomWatch:
    """The kernel's counters as a supervisor asks them: about one death after the other."""

    def __init__(self) -> None:
        self._counter = OomCounter()
        self._claims = OomClaims(self._counter.count())
        self._shared: tuple[object, bool] | None = None

    def look(self) -> None:
        """A tick."""
        self._claims.look(self._counter.count())

    def killed(self, cause: object | None) -> bool:
        """A process was found killed; of what it died together with others (a fork server) is asked once for all."""
        if cause is not None and self._shared is not None and self._shared[0] is cause:
            return self._shared[1]
        found = self._claims.claim(self._counter.count())
        if cause is not None:
            self._shared = (cause, found)
        return found

    def limit_bytes(self) -> int | None:
        """The lowest limit on our control group, in bytes."""
        return self._counter.limit_bytes()


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            return file.read()
    except OSError:
        return ""


def _number(text: str, key: str) -> int | None:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return None
