"""The process that children are forked from, as its owner holds it. The other side: `fork_server_main`.

A child that is forked has its imports from the start: two hundredths of a second in place of two tenths. Forking the
main process itself would not do, for it has threads. Light: it is started before everything else is imported.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from actors.import_path import import_path
from actors.places.local.spawn_request import ANSWER, FORK, REAP, SpawnRequest, encode, take

T = TypeVar("T")

_BOOT = (
    "import sys; a = sys.argv; n = 4 + int(a[3]); sys.path[:] = a[n:]; "
    "from actors.places.local.fork_server_main import main; main(int(a[1]), a[2], a[4:n])"
)
"""Imports come from where the owner's do: a file `socket.py` in the working directory is no module."""

_BLOCKED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)

LOOK_SECONDS = 0.1
FIRST_LOOKS, LOOKS = 1200, 100
"""How often it is looked whether there is an answer, before it is taken for hung: two minutes for the first, which
waits for imports, from a slow disk perhaps; ten seconds for others. Counted, so that a pause of the machine is one."""


class ForkServerGone(OSError):
    """The fork server ended, or gave no answer and was killed. Its children die with it; another one may be started."""


class ForkServer:
    """A process of one thread that has imported the modules `preload` and forks children.

    It dies with the thread that makes it, and its children die with it: make it in one that lives as long as they may.
    What a process inherits beside descriptors, environment and working directory (limits, umask, process group) a child
    has from the moment when its fork server was started. `title` is what `ps` shows.

    Raises `OSError` if the system has no room for another process.
    """

    def __init__(self, preload: Sequence[str] = (), title: str = "fork_server") -> None:
        self.preload, self.title = tuple(preload), title
        self._lock = threading.Lock()
        self._looks = FIRST_LOOKS
        with contextlib.ExitStack() as undo:
            self._sock, theirs = socket.socketpair()
            undo.callback(self._sock.close)
            with theirs:
                self._pid = _spawn(theirs.fileno(), self.title, self.preload)
            self._ended: int | None = None
            undo.callback(self._end)
            self._sock.settimeout(LOOK_SECONDS)
            self._ended = os.pidfd_open(self._pid)
            undo.pop_all()

    def __enter__(self) -> ForkServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        """Its pid, or what it was."""
        return self._pid

    @property
    def gone(self) -> bool:
        """Whether it has ended, or was closed: then nothing can be asked of it any more."""
        with self._lock:
            if self._ended is not None and _readable(self._ended, 0):
                self._bury()
            return self._ended is None

    def successor(self) -> ForkServer:
        """Another one like this, which must be gone. It dies with the calling thread."""
        return ForkServer(self.preload, self.title)

    def fork(self, spawn_request: SpawnRequest, channel: int, page: int, output: int, folder: int) -> tuple[int, int]:
        """A new child's pid, and a descriptor of its process, which becomes readable when it ends.

        It gets the descriptors of its channel, its page and its output, and works in `folder`, a descriptor too.
        Raises `OSError` if the system has no room for it, `ForkServerGone`.
        """
        request = encode(FORK, spawn_request, import_path(), dict(os.environ))
        pid, pidfds = self._ask(request, [channel, page, output, folder])
        if not pidfds:
            os.kill(pid, signal.SIGKILL)  # nobody has reaped it, so the number is its own
            self.reap(pid)
            raise OSError("no descriptor is left for another process")
        return pid, pidfds[0]

    def reap(self, pid: int) -> int | None:
        """How a child that has ended did: its exit code, negative for a signal; None if nobody can tell any more."""
        try:
            return self._ask(encode(REAP, pid), [])[0]
        except ForkServerGone:
            return None

    def close(self) -> None:
        """End it, and with it every child of it that is left."""
        with self._lock:
            if self._ended is not None:
                self._bury()

    def _ask(self, request: bytes, descriptors: Sequence[int]) -> tuple[int, list[int]]:
        with self._lock:
            if self._ended is None:
                raise ForkServerGone(f"the process {self._pid} that children are forked from is gone")
            try:
                sent = self._patiently(socket.send_fds, self._sock, [request], descriptors)
                while sent < len(request):
                    sent += self._patiently(self._sock.send, request[sent:])
                answer, pidfds = self._patiently(take, self._sock, ANSWER.size, 1)
                if not answer:
                    raise ConnectionResetError
            except (ConnectionError, TimeoutError) as error:
                self._bury()
                found = "does not answer" if isinstance(error, TimeoutError) else "is gone"
                raise ForkServerGone(f"the process {self._pid} that children are forked from {found}") from error
            self._looks = LOOKS
        problem, value = ANSWER.unpack(answer)
        if problem:
            raise OSError(problem, os.strerror(problem))
        return value, pidfds

    def _patiently(self, call: Callable[..., T], *arguments: Any) -> T:
        for _ in range(self._looks - 1):
            with contextlib.suppress(TimeoutError):
                return call(*arguments)
        return call(*arguments)

    def _bury(self) -> None:
        assert self._ended is not None
        self._sock.close()
        self._end()
        os.close(self._ended)
        self._ended = None

    def _end(self) -> None:
        """SIGKILL, for a stopped one does not see that the socket is closed; there is nothing it could lose."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):  # whoever ignores SIGCHLD has nothing to reap
            if self._ended is None:
                os.kill(self._pid, signal.SIGKILL)
            else:
                signal.pidfd_send_signal(self._ended, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _spawn(sock: int, title: str, preload: Sequence[str]) -> int:
    words = [sys.executable, "-u", "-c", _BOOT]  # -u: nothing printed waits in a buffer for a death
    words += [str(os.getpid()), title, str(len(preload)), *preload, *import_path()]
    actions = [(os.POSIX_SPAWN_DUP2, sock, 0), (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    if not _has_standard_error():  # nothing that comes in may take its place
        actions.append((os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0))
    # No signal can hit it before it ignores them, or answers.
    return os.posix_spawn(sys.executable, words, os.environ, file_actions=actions, setsigmask=_BLOCKED)


def _has_standard_error() -> bool:
    try:
        return os.get_inheritable(2)  # what else has got this number is not
    except OSError:
        return False


def _readable(descriptor: int, milliseconds: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(milliseconds))
