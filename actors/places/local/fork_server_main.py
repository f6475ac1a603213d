"""What runs inside a fork server: it imports modules once, then forks children that have them from the start.

It stays a process of one thread without anybody else's code, so that a fork of it is as clean as a new program: only
the modules are there already. It reaps a child only when asked, so no pid goes to somebody else before that.
"""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import importlib
import os
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from actors.child import EXIT_SOFTWARE, die
from actors.crash_points import crash_point
from actors.places.local import child_main, malloc
from actors.places.local.spawn_request import ANSWER, FORK, SpawnRequest, receive

SOCKET = 0
"""Requests come in where other programs have their standard input."""


def main(owner: int, title: str, preload: Sequence[str]) -> NoReturn:
    """Serve the process `owner` until it closes its end, or its thread that started this one ends."""
    # The main process decides when to stop; it started us with these signals blocked. Children inherit both.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    faulthandler.register(signal.SIGUSR1, all_threads=True)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored, it would have the kernel reap children unasked
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _close_what_is_not_ours()
    child_main.die_with(owner)
    child_main.name(title)
    malloc.keep_freed()
    for module in preload:
        with contextlib.suppress(Exception):  # a child that needs it fails at its own import, and says why
            importlib.import_module(module)
    threads = len(os.listdir("/proc/self/task"))  # noqa: PTH208
    if threads != 1:
        os.write(
            2, f"a fork server cannot fork with {threads} threads: one of {', '.join(preload)} starts them\n".encode()
        )
        os._exit(EXIT_SOFTWARE)
    gc.freeze()  # what is imported stays: a collection in a child need not touch, and so copy, its pages
    try:
        _serve(socket.socket(fileno=SOCKET))
    except ConnectionError:  # the owner is gone
        os._exit(0)
    except Exception:  # noqa: BLE001
        die()


def _close_what_is_not_ours() -> None:
    for descriptor in map(int, os.listdir("/proc/self/fd")):  # noqa: PTH208 - pathlib is an import of 6 ms
        if descriptor > 2:
            with contextlib.suppress(OSError):  # that of the listing itself
                os.close(descriptor)


def _serve(sock: socket.socket) -> NoReturn:
    while (request := receive(sock)) is not None:
        (order, *values), descriptors = request
        if order == FORK:
            _fork(sock, values, descriptors)
        else:
            _reap(sock, *values)
    os._exit(0)


def _fork(sock: socket.socket, values: list[Any], descriptors: list[int]) -> None:
    fork_server = os.getpid()
    crash_point("fork_server.before_fork")
    try:
        if (pid := os.fork()) == 0:
            _become_child(sock, fork_server, values, descriptors)
    except OSError as error:
        sock.sendall(ANSWER.pack(error.errno, 0))
        return
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    crash_point("fork_server.after_fork")
    pidfd = os.pidfd_open(pid)
    socket.send_fds(sock, [ANSWER.pack(0, pid)], [pidfd])
    os.close(pidfd)
    crash_point("fork_server.after_answer")


def _reap(sock: socket.socket, pid: int) -> None:
    crash_point("fork_server.before_reap")
    _, status = os.waitpid(pid, 0)
    crash_point("fork_server.after_reap")
    sock.sendall(ANSWER.pack(0, os.waitstatus_to_exitcode(status)))


def _become_child(sock: socket.socket, fork_server: int, values: list[Any], descriptors: list[int]) -> NoReturn:
    try:
        spawn_request, path, environment = values
        channel, page, output, folder = descriptors
        sock.detach()
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, SOCKET)
        for standard in (1, 2):
            os.dup2(output, standard)
        os.fchdir(folder)
        for descriptor in (nothing, output, folder):
            os.close(descriptor)
        sys.path[:] = path
        if environment != os.environ:
            os.environ.clear()
            os.environ.update(environment)
        child_main.main(channel, page, fork_server, SpawnRequest(*spawn_request))
    except BaseException:  # noqa: BLE001 - nothing may get back into the fork server's loop
        die()
