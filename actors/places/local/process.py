"""A child process as its parent holds it: started, reached, asked, killed, reaped."""

from __future__ import annotations

import contextlib
import os
import select
import signal

from actors import procfs
from actors.channel import pair
from actors.identity import Identity, here
from actors.places.local.fork_server import ForkServer
from actors.places.local.heartbeat import HeartbeatPage
from actors.places.local.spawn_request import SpawnRequest
from actors.spec import ChildSpec


class Process:
    """A running child process and everything the parent holds of it: channel, output pipe, page, descriptor."""

    def __init__(
        self, spec: ChildSpec, fork_server: ForkServer, watchdog_seconds: float | None, folder: str = "."
    ) -> None:
        """Start it, from this fork server.

        Raises `OSError` if the system has no room for another process, `ForkServerGone`. It works in
        `folder`, the working directory of this moment, with the environment and the import path of this moment.
        """
        self.fork_server = fork_server
        self.orphaned = False
        """Reaped without its exit code: its fork server was gone, and it with it."""
        main = os.getpid()
        spawn_request = SpawnRequest(
            main, procfs.start_ticks(main) or 0, round(watchdog_seconds or 0), spec.memory_limit_bytes or 0,
            spec.expendable, spec.target, spec.title or spec.name,
        )  # fmt: skip
        with contextlib.ExitStack() as undo, contextlib.ExitStack() as given:
            self.sock, theirs = pair()
            undo.callback(self.sock.close)
            given.callback(theirs.close)
            self.output, write_end = os.pipe()
            undo.callback(os.close, self.output)
            given.callback(os.close, write_end)
            self.heartbeat_page, page = HeartbeatPage.create()
            undo.callback(self.heartbeat_page.close)
            given.callback(os.close, page)
            works_in = os.open(folder, os.O_PATH | os.O_DIRECTORY)
            given.callback(os.close, works_in)
            self._pid, self.ended = fork_server.fork(spawn_request, theirs.fileno(), page, write_end, works_in)
            undo.callback(self._discard)
            os.set_blocking(self.output, False)
            self.identity = _identity(self._pid)
            undo.pop_all()

    def kill(self) -> None:
        """SIGKILL; nothing if it has ended already."""
        self._send(signal.SIGKILL)

    def ask_for_stack(self) -> None:
        """Have the child write the stacks of all its threads to its standard error; works while it holds the GIL."""
        self._send(signal.SIGUSR1)

    def stat(self) -> procfs.Stat | None:
        """What the process uses now; None if it ended."""
        found = procfs.stat(self._pid)
        return found if found and found.start_ticks == self.identity.start_ticks else None

    def reap(self) -> int:
        """Wait for the end and return the exit code, negative for a signal, as `subprocess` has it.

        SIGKILL is the answer too if its fork server is gone: that is what a fork server's death does to its children.
        """
        poll = select.poll()
        poll.register(self.ended, select.POLLIN)
        poll.poll()
        code = self.fork_server.reap(self._pid)
        self.orphaned = code is None
        return -signal.SIGKILL if code is None else code

    def close(self) -> None:
        """Let go of every descriptor and of the page."""
        self.sock.close()
        os.close(self.output)
        os.close(self.ended)
        self.heartbeat_page.close()

    def _send(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.ended, number)

    def _discard(self) -> None:
        self.kill()
        self.reap()
        os.close(self.ended)


def _identity(pid: int) -> Identity:
    try:
        return Identity.of(pid)
    except ProcessLookupError:  # killed before we looked; no process can be mistaken for one with these numbers
        return Identity(pid, 0.0, *here(), -1)
