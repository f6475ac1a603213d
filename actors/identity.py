"""Which process, for good: pids recycle, and mean nothing in another boot, pid namespace or host."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import psutil

from actors import procfs


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process, for good: pids recycle, and mean nothing in another boot, pid namespace or host.

    `start_time` is psutil's, in seconds since the epoch, for people to read. `start_ticks` is the same in clock ticks
    since boot, which setting the clock does not move; where it is known (not 0) it is what is compared.
    """

    pid: int
    start_time: float
    boot_id: str
    pid_namespace: str
    host: str
    start_ticks: int = 0

    @classmethod
    def of(cls, pid: int) -> Identity:
        """The identity of the process that has this pid now. Raises `ProcessLookupError` if there is none."""
        ticks = procfs.start_ticks(pid)
        try:
            start = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            ticks = None
        if ticks is None:
            raise ProcessLookupError(f"there is no process {pid}")
        return cls(pid, start, *here(), ticks)

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Identity:
        """The identity of which these are the fields, among others perhaps. Raises `KeyError` where one is missing."""
        return cls(**{field.name: facts[field.name] for field in fields(cls)})

    def state(self) -> Literal["alive", "stopped", "gone", "unknown"]:
        """Whether this very process is there; "stopped" by a signal or a debugger; a zombie is gone.

        "unknown" where it cannot be seen from here: another host, boot or pid namespace.
        """
        if (self.boot_id, self.pid_namespace, self.host) != here():
            return "unknown"
        found = procfs.stat(self.pid)
        if found is None or not self._started_with(found):
            return "gone"
        return "stopped" if found.state in "Tt" else "alive"

    def kill(self) -> bool:
        """SIGKILL this very process; False if it is not there (any more), or not visible from here.

        Raises `PermissionError` if it belongs to somebody else.
        """
        try:
            fd = os.pidfd_open(self.pid)
        except OSError as error:
            # The number may have gone to a thread: Linux says EINVAL then, or ENOENT since 6.15.
            if error.errno in (errno.ESRCH, errno.EINVAL, errno.ENOENT):
                return False
            raise
        try:  # the descriptor pins whoever has the pid now, so that the comparison holds until the signal
            if self.state() not in ("alive", "stopped"):
                return False
            signal.pidfd_send_signal(fd, signal.SIGKILL)
        except ProcessLookupError:
            return False
        finally:
            os.close(fd)
        return True

    def _started_with(self, found: procfs.Stat) -> bool:
        if self.start_ticks:
            return found.start_ticks == self.start_ticks
        return abs(psutil.boot_time() + found.start_ticks / procfs.CLOCK_TICKS - self.start_time) < 0.05


def here() -> tuple[str, str, str]:
    """Boot id, pid namespace and host name: where a pid of ours means something."""
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, os.readlink("/proc/self/ns/pid"), os.uname().nodename  # noqa: PTH115 - no path, a name
