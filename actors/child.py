"""The process side of a child: the actor that takes frames from the parent, and its port to the parent."""

from __future__ import annotations

import os
import sys
import threading
import traceback
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

import pykka

from actors.channel import DATA, ChannelClosed, Outgoing, Part, encode
from actors.heartbeat import BEAT, BUSY, DETAIL, POSITION, TAKEN, WAITING

if TYPE_CHECKING:
    import socket


EXIT_SOFTWARE = 70
"""An exception that nobody caught (EX_SOFTWARE of sysexits.h); the traceback is on stderr."""
EXIT_MEMORY = 71
"""Memory ran out, or the child's memory limit was reached (EX_OSERR)."""
EXIT_ORPHANED = 72
"""The parent is gone."""
EXIT_REFUSED = 73
"""The system has no room for another thread (EX_CANTCREAT)."""


class Port:
    """What a child can say to its parent. Every method may be called from any thread.

    `at_once`, if it is set, is offered each message in the thread that reads them, before the actor's inbox is; what it
    answers True to is done with. It is for answers that the actor's own thread waits for, and must not block.

    for number, page in enumerate(pages):
        self.port.at(number)                  # if this kills us, the parent knows which page it was
        self.port.send(b"words", count(page))
    self.port.waiting(True)                   # silence is no hang while others are slow
    answer = ask_somebody_else()
    self.port.waiting(False)
    """

    __slots__ = ("_lock", "_outgoing", "_sock", "_words", "at_once")

    def __init__(self, sock: socket.socket, words: memoryview) -> None:
        self.at_once: Callable[[list[memoryview]], bool] = lambda parts: False
        self._sock = sock
        self._words = words
        self._outgoing = Outgoing()
        self._lock = threading.Lock()

    def send(self, *parts: Part) -> None:
        """Send one message; returns when the kernel has all of it, so that the sender's death cannot undo it.

        Ends the process when the parent is gone. Raises `FrameRefused` on a message over the limits.
        """
        self.send_kind(DATA, parts)

    def taken(self) -> None:
        """Count one more of the parent's messages as taken."""
        with self._lock:
            self._words[TAKEN] += 1

    def send_kind(self, kind: int, parts: tuple[Part, ...] = ()) -> None:
        """Send one frame of this kind (`actors.channel`); messages are of kind `DATA`."""
        buffers = encode(kind, parts)
        with self._lock:
            self._outgoing.put(buffers)
            try:
                self._outgoing.flush(self._sock)
            except ChannelClosed:
                os._exit(EXIT_ORPHANED)

    def beat(self) -> None:
        """Say that work goes on. Costs well under a microsecond: call it in every turn of a long loop."""
        self._words[BEAT] += 1

    def at(self, position: int, detail: int = 0) -> None:
        """Say what is being touched now, in two numbers of the caller's own; as cheap as `beat`, and counts as one.

        The parent can read it after this process died: `ChildDown.position` and `.detail`.
        """
        words = self._words
        words[DETAIL] = detail
        words[POSITION] = position

    def waiting(self, flag: bool) -> None:
        """Say that only the outside world is being waited for: a silent child is then no hung one.

        While set, a child counts as hung only if it is stopped, or burns CPU time without a beat. A call is a beat.
        """
        self._words[WAITING] = flag
        self._words[BEAT] += 1

    def exit(self, code: int) -> NoReturn:
        """End the process at once and in order: all that was sent or printed arrives. No `on_stop`."""
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


class Frame:
    """A message from the parent, on its way through the actor's inbox."""

    __slots__ = ("parts",)

    def __init__(self, parts: list[memoryview]) -> None:
        self.parts = parts


class Call:
    """Something that a thread of the child's own wants done in the actor's thread."""

    __slots__ = ("make",)

    def __init__(self, make: Callable[[], None]) -> None:
        self.make = make


class Child(pykka.ThreadingActor):
    """Base of the actor that a child process holds. One is created per process.

        class Upper(Child):
            def on_start(self):
                self.table = load(self.argument)  # as `ChildSpec` has it

            def on_frame(self, parts):
                self.port.send(*(bytes(part).upper() for part in parts))

    `__init__` is called in the main thread; whatever takes time belongs into `on_start`, which Pykka calls in
    the actor's thread before the first frame. `on_stop` is called when the parent asked the child to stop, after all
    frames sent before, or when the actor stops itself; then the process ends with exit code 0. A killed process never
    calls it. An exception out of any of them ends the process with the traceback on stderr and exit code 70; a
    `MemoryError` with exit code 71, a thread that the system refuses with 73.

    The inbox is not bounded: what a parent sends without waiting for answers is kept in memory here.

    `busy` is for a child that works on in threads of its own when `on_frame` has returned: while it is set, silence is
    a hang as it is in the middle of a message. Those threads hand on what they have by `later`.
    """

    use_daemon_thread = True
    busy = False

    def __init__(self, port: Port, argument: bytes = b"") -> None:
        super().__init__()
        self.port = port
        self.argument = argument
        # Pykka logs what these raise and carries on without the actor: a process that does nothing, for ever.
        self.on_start = self._starting(_fatal(self.on_start))  # type: ignore[method-assign]
        self.on_stop = self._stopping(_fatal(self.on_stop))  # type: ignore[method-assign]

    def on_frame(self, parts: list[memoryview]) -> None:
        """Called in the actor's thread, once per message of the parent, in order. The views may be kept."""
        raise NotImplementedError

    def on_receive(self, message: Any) -> Any:
        """Hand frames to `on_frame`, and make calls of own threads; anything else is not meant for a child."""
        if not isinstance(message, Frame | Call):
            return super().on_receive(message)
        words = self.port._words
        words[BUSY] = 1
        try:
            if isinstance(message, Frame):
                self.port.taken()
                self.on_frame(message.parts)
            else:
                message.make()
        except BaseException:  # noqa: BLE001 - whatever it is, the process ends, and says why
            die()
        words[BUSY] = self.busy
        return None

    def later(self, make: Callable[[], None]) -> None:
        """Have the actor's thread call this, behind what its inbox holds already. May be called from any thread."""
        self.actor_ref.tell(Call(make))

    def _starting(self, hook: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            hook()
            self.port._words[BUSY] = 0  # it was set before the import of the actor's module

        return call

    def _stopping(self, hook: Callable[[], None]) -> Callable[[], None]:
        def call() -> None:
            hook()
            self.port.exit(0)

        return call

    def on_failure(self, *_: Any) -> NoReturn:
        """An exception out of a message that the child sent to itself."""
        die()


def die() -> NoReturn:
    """End the process because of the exception being handled, with its traceback on stderr."""
    error = sys.exception()
    memory = isinstance(error, MemoryError)
    refused = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    try:
        if refused:  # no mistake of anybody's that a traceback would help to find
            os.write(2, b"the system has no room for another thread\n")
        else:
            traceback.print_exc()
    except MemoryError:
        os.write(2, b"MemoryError, and no memory left for the traceback\n")
    os._exit(EXIT_MEMORY if memory else EXIT_REFUSED if refused else EXIT_SOFTWARE)


def _fatal(hook: Callable[[], None]) -> Callable[[], None]:
    def call() -> None:
        try:
            hook()
        except BaseException:  # noqa: BLE001
            die()

    return call
