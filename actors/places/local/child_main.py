"""What a child process does from its birth on: limits, the way from the channel to the actor's inbox.

Kept light: what is imported here is imported by every fork server before it forks its first child.
"""

from __future__ import annotations

import contextlib
import ctypes
import faulthandler
import importlib
import os
import resource
import select
import signal
import socket
import time
from typing import NoReturn

import pykka

from actors.channel import DATA, READY, STOP, ChannelClosed, FrameReader
from actors.child import EXIT_ORPHANED, Child, Frame, Port
from actors.crash_points import crash_point
from actors.heartbeat import BUSY, PARENT_BEAT
from actors.places.local.heartbeat import HeartbeatPage
from actors.places.local.spawn_request import SpawnRequest
from actors.procfs import start_ticks

PR_SET_PDEATHSIG = 1  # <linux/prctl.h>


def main(channel: int, page: int, fork_server: int, spawn_request: SpawnRequest) -> NoReturn:
    """Be the child of this birth, forked by the process `fork_server`, with the descriptors of a channel and a page."""
    faulthandler.enable()
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    die_with(fork_server)
    name(spawn_request.title)
    if spawn_request.expendable:
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123 - pathlib is an import of 6 ms
            file.write("1000")
    if spawn_request.memory:
        resource.setrlimit(resource.RLIMIT_DATA, (spawn_request.memory, spawn_request.memory))
    heartbeat_page = HeartbeatPage(page)
    os.close(page)
    watchdog = Watchdog(heartbeat_page, spawn_request.main, spawn_request.main_start, spawn_request.watchdog)
    _ChildLoop(socket.socket(fileno=channel), heartbeat_page, watchdog).run(spawn_request.target)


class _ChildLoop:
    def __init__(self, sock: socket.socket, heartbeat_page: HeartbeatPage, watchdog: Watchdog) -> None:
        self._sock, self._page, self._watchdog = sock, heartbeat_page, watchdog
        self._reader = FrameReader(sock)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def run(self, target: str) -> NoReturn:
        _, (argument,) = self._next()
        crash_point("child.before_actor")
        self._page.words[BUSY] = 1  # an import, or an `on_start`, that hangs is a hang; the actor clears it
        module, _, attribute = target.partition(":")
        cls = getattr(importlib.import_module(module), attribute)
        if not (isinstance(cls, type) and issubclass(cls, Child)):
            raise TypeError(f"{target} is {cls!r}; a child is a subclass of actors.Child")
        port = Port(self._sock, self._page.words)
        actor = cls.start(port, bytes(argument))
        port.send_kind(READY)
        while True:
            kind, parts = self._next()
            with contextlib.suppress(pykka.ActorDeadError):  # it is stopping: what comes now is for nobody
                if kind == STOP:
                    actor.stop(block=False)
                elif kind == DATA and port.at_once(parts):
                    port.taken()
                elif kind == DATA:
                    actor.tell(Frame(parts))

    def _next(self) -> tuple[int, list[memoryview]]:
        """The parent's next frame. Once a second in between, the watchdog looks at the parent."""
        while True:
            try:
                frame = self._reader.read()
            except ChannelClosed:
                os._exit(EXIT_ORPHANED)
            self._watchdog.look(time.monotonic())
            if frame is not None:
                return frame
            self._poll.poll(1000)


class Watchdog:
    """Kills a parent that stopped beating, so that whoever restarts dead programs can act on a hang.

    It counts its own looks, a second apart or more: a pause of the whole machine is one look, not many seconds.
    """

    def __init__(self, heartbeat_page: HeartbeatPage, parent: int, parent_start: int, seconds: int) -> None:
        self._words = heartbeat_page.words
        self._parent, self._parent_start, self._seconds = parent, parent_start, seconds
        self._next = 0.0
        self._silent = 0
        self._last = -1

    def look(self, now: float) -> None:
        """Count one second of silence, or none; kill the parent and end when it were too many."""
        if now < self._next or not self._seconds:
            return
        self._next = now + 1.0
        beat = self._words[PARENT_BEAT]
        self._silent = self._silent + 1 if beat == self._last else 0
        self._last = beat
        if self._silent >= self._seconds:
            if start_ticks(self._parent) == self._parent_start:
                os.write(2, f"the main process has not moved for {self._silent} seconds: killing it\n".encode())
                os.kill(self._parent, signal.SIGKILL)
            os._exit(EXIT_ORPHANED)


def die_with(parent: int) -> None:
    """Have the kernel kill us when the thread that started us ends, even while we are stopped or deaf."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it died before the line above: no signal will come
        os._exit(EXIT_ORPHANED)


def name(title: str) -> None:
    """Have `ps` show this title."""
    try:
        import setproctitle  # optional: without it `ps` shows the interpreter's command line
    except ImportError:
        return
    setproctitle.setproctitle(title)
