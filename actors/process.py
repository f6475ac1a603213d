"""How a child is started, reached, watched and killed, and its full identity.

The one place that knows that a child is a process of this machine: another host for children starts here.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil

from actors import proc
from actors.channel import START, encode, pair
from actors.pulse import Pulse
from actors.spec import ChildSpec

_BOOT = "import sys; a = sys.argv; sys.path[:] = a[10:]; from actors.host import main; main(a[1:10])"
"""Imports come from where the parent's do: a file `socket.py` in the working directory is no module."""

_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


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
        ticks = proc.start_ticks(pid)
        try:
            start = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            ticks = None
        if ticks is None:
            raise ProcessLookupError(f"there is no process {pid}")
        return cls(pid, start, *_here(), ticks)

    def state(self) -> Literal["alive", "stopped", "gone", "unknown"]:
        """Whether this very process is there; "stopped" by a signal or a debugger; a zombie is gone.

        "unknown" where it cannot be seen from here: another host, boot or pid namespace.
        """
        if (self.boot_id, self.pid_namespace, self.host) != _here():
            return "unknown"
        found = proc.stat(self.pid)
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

    def _started_with(self, found: proc.Stat) -> bool:
        if self.start_ticks:
            return found.start_ticks == self.start_ticks
        return abs(psutil.boot_time() + found.start_ticks / proc.CLOCK_TICKS - self.start_time) < 0.05


class Process:
    """A running child process and everything the parent holds of it: channel, output pipe, page, descriptor."""

    def __init__(self, spec: ChildSpec, watchdog_seconds: float | None) -> None:
        """Start it. Raises `OSError` if the system has no room for another process.

        Must be called by a thread that lives as long as the child may: the kernel kills the child when it ends.
        """
        self.spec = spec
        with contextlib.ExitStack() as undo:
            self.sock, theirs = pair()
            undo.callback(self.sock.close)
            with theirs:
                self.output, write_end = os.pipe()
                undo.callback(os.close, self.output)
                try:
                    self.pulse, page = Pulse.create()
                    undo.callback(self.pulse.close)
                    try:
                        self._popen = _spawn(spec, theirs.fileno(), page, write_end, watchdog_seconds)
                    finally:
                        os.close(page)
                finally:
                    os.close(write_end)
            undo.callback(self._discard)
            os.set_blocking(self.output, False)
            self.ended = os.pidfd_open(self._popen.pid)
            self.identity = _identity(self._popen.pid)
            undo.pop_all()

    def first_frame(self) -> list[bytes | memoryview]:
        """The buffers of the frame that every child gets first."""
        return encode(START, (self.spec.argument,))

    def kill(self) -> None:
        """SIGKILL; nothing if it has ended already."""
        self._popen.kill()

    def ask_for_stack(self) -> None:
        """Have the child write the stacks of all its threads to its standard error; works while it holds the GIL."""
        self._popen.send_signal(signal.SIGUSR1)

    def stat(self) -> proc.Stat | None:
        """What the process uses now; None if it ended."""
        return proc.stat(self._popen.pid)

    def reap(self) -> int:
        """Wait for the end and return the exit code, negative for a signal, as `subprocess` has it."""
        return self._popen.wait()

    def close(self) -> None:
        """Let go of every descriptor and of the page."""
        self.sock.close()
        os.close(self.output)
        os.close(self.ended)
        self.pulse.close()

    def _discard(self) -> None:
        self._popen.kill()
        self._popen.wait()


def _spawn(
    spec: ChildSpec, channel: int, page: int, output: int, watchdog_seconds: float | None
) -> subprocess.Popen[bytes]:
    parent = os.getpid()
    command = [sys.executable, "-u", "-c", _BOOT]  # -u: nothing printed waits in a buffer for its death
    command += map(str, (channel, page, parent, proc.start_ticks(parent), round(watchdog_seconds or 0)))
    command += [str(spec.memory_limit_bytes or 0), str(int(spec.expendable)), spec.target, spec.title or spec.name]
    command += [entry or str(Path.cwd()) for entry in sys.path]
    # A new program inherits the mask of the thread that starts it: no signal can hit it before it ignores them.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _BLOCKED)
    try:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, pass_fds=(channel, page)
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _identity(pid: int) -> Identity:
    try:
        return Identity.of(pid)
    except ProcessLookupError:  # killed before we looked; no process can be mistaken for one with these numbers
        return Identity(pid, 0.0, *_here(), -1)


def _here() -> tuple[str, str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, os.readlink("/proc/self/ns/pid"), os.uname().nodename  # noqa: PTH115 - no path, a name
