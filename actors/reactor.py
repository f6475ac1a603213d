"""The I/O thread of the main process: moves bytes between the children's channels, the listener and the supervisor."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka

from actors.channel import DATA, READY, ChannelClosed, FrameRefused, Part, encode
from actors.events import FrameReceived, GaveUp
from actors.link import Line

logger = logging.getLogger("actors")

_FRAMES_PER_TURN = 16  # then somebody else's turn
_OUTPUT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Ready:
    """Told to the supervisor: the child's actor exists."""

    name: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class Garbled:
    """Told to the supervisor: what comes out of this child is no channel any more."""

    name: str
    incarnation: int
    found: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Told to the supervisor: the process ended, and everything it had sent and printed is handed on."""

    name: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class TickDue:
    """Told to the supervisor; the next one comes only after this one was answered."""


class Outbox:
    """Sends frames to children, from any thread, without blocking.

    What a child does not take is queued in memory without a limit: the sender's own flow control is the limit.
    """

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange

    def send(self, name: str, *parts: Part, incarnation: int | None = None) -> None:
        """Queue one message for this child; its parts must not change any more.

        Dropped if the child is down, unknown, or (where `incarnation` is given) another one than was meant.
        Raises `FrameRefused` on a message over the limits.
        """
        self._exchange.send(name, parts, incarnation)


class Exchange(threading.Thread):
    """One thread for all children: waits on every channel, output pipe and process at once.

    Frames go straight to the listener, in the order of their arrival; the supervisor is told what concerns lives.
    """

    def __init__(
        self,
        listener: pykka.ActorRef[Any],
        supervisor: pykka.ActorRef[Any],
        on_output: Callable[[str, str], None],
        tick_seconds: float,
    ) -> None:
        super().__init__(name="exchange", daemon=True)
        self._listener, self._supervisor, self._on_output = listener, supervisor, on_output
        self._tick_seconds = tick_seconds
        self._lines: dict[str, Line] = {}
        self._todo: deque[Callable[[], None]] = deque()
        self._selector = selectors.DefaultSelector()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._selector.register(self._wake, selectors.EVENT_READ, self._woken)
        self._closing = False
        self._released = False
        self._gate = threading.Lock()  # guards the wake-up descriptor against use after its end
        self._tick_open = False

    # --- from other threads -------------------------------------------------------------------------------------

    def add(self, line: Line) -> None:
        """Take over the descriptors of a new process; from now on frames can be sent to it."""
        with line.lock:
            line.outgoing.put(line.process.first_frame())
        self._lines[line.name] = line
        self._call(lambda: self._register(line))

    def send(self, name: str, parts: tuple[Part, ...], incarnation: int | None) -> None:
        """See `Outbox.send`."""
        line = self._lines.get(name)
        if line is None or incarnation not in (None, line.incarnation):
            return
        self._queue(line, encode(DATA, parts), 1)

    def send_kind(self, line: Line, kind: int) -> None:
        """Queue a frame without parts that is no message."""
        self._queue(line, encode(kind, ()), 0)

    def tick_done(self) -> None:
        """The supervisor has looked at everything; the next tick may come."""
        self._tick_open = False

    def close(self) -> None:
        """End the thread. Only when no process is left."""
        if self.is_alive():
            self._call(self._end)
            self.join()
        else:
            self._release()

    def _queue(self, line: Line, buffers: list[Part], messages: int) -> None:
        with line.lock:
            if not line.open:
                return
            line.outgoing.put(buffers)
            line.sent += messages
        self._call(lambda: self._flush(line))

    def _call(self, function: Callable[[], None]) -> None:
        self._todo.append(function)
        with self._gate:
            if not self._released:
                os.eventfd_write(self._wake, 1)

    # --- in the thread ------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until closed. A failure here leaves the run without ears: the listener is told."""
        try:
            self._serve()
        except Exception as error:  # a callback's, or our own mistake
            logger.exception("the exchange failed")
            tell(self._listener, GaveUp("exchange", f"{type(error).__name__}: {error}", []))
        finally:
            self._release()

    def _serve(self) -> None:
        next_tick = time.monotonic() + self._tick_seconds
        while not self._closing:
            for key, _ in self._selector.select(max(0.0, next_tick - time.monotonic())):
                key.data()
            if (now := time.monotonic()) >= next_tick:
                next_tick = now + self._tick_seconds
                if not self._tick_open:
                    self._tick_open = True
                    tell(self._supervisor, TickDue())

    def _woken(self) -> None:
        os.eventfd_read(self._wake)
        while self._todo:
            self._todo.popleft()()

    def _end(self) -> None:
        self._closing = True

    def _release(self) -> None:
        with self._gate:
            if not self._released:
                self._released = True
                self._selector.close()
                os.close(self._wake)

    def _register(self, line: Line) -> None:
        process = line.process
        self._selector.register(process.sock, selectors.EVENT_READ, lambda: self._channel(line))
        self._selector.register(process.output, selectors.EVENT_READ, lambda: self._print(line))
        self._selector.register(process.ended, selectors.EVENT_READ, lambda: self._finish(line))
        self._flush(line)

    def _channel(self, line: Line) -> None:
        if line.ended.is_set():
            return  # the event is older than the end; the descriptor may be somebody else's by now
        if line.blocked:
            self._flush(line)
        self._receive(line, _FRAMES_PER_TURN)

    def _receive(self, line: Line, limit: int | None) -> None:
        """Hand on up to `limit` frames that have arrived completely."""
        while limit is None or limit > 0:
            try:
                frame = line.reader.read()
            except ChannelClosed:
                self._stop_reading(line)
                return
            except FrameRefused as error:
                self._stop_reading(line)
                tell(self._supervisor, Garbled(line.name, line.incarnation, str(error)))
                return
            if frame is None:
                return
            kind, parts = frame
            if kind == DATA:
                tell(self._listener, FrameReceived(line.name, line.incarnation, parts))
            elif kind == READY:
                tell(self._supervisor, Ready(line.name, line.incarnation))
            limit = limit and limit - 1

    def _stop_reading(self, line: Line) -> None:
        with line.lock:
            line.open = False
        if line.process.sock in self._selector.get_map():
            self._selector.unregister(line.process.sock)

    def _flush(self, line: Line) -> None:
        with line.lock:
            if not line.open:
                return
            try:
                done = line.outgoing.flush(line.process.sock, socket.MSG_DONTWAIT)
            except ChannelClosed:
                return  # what it had sent is still to be read; the end comes from there
        if done is line.blocked:
            line.blocked = not done
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if line.blocked else 0)
            self._selector.modify(line.process.sock, wanted, lambda: self._channel(line))

    def _print(self, line: Line) -> None:
        if not line.ended.is_set():
            self._read_output(line, once=True)

    def _read_output(self, line: Line, *, once: bool) -> None:
        while True:
            try:
                data = os.read(line.process.output, _OUTPUT_BYTES)
            except BlockingIOError:
                return
            if not data:
                if line.process.output in self._selector.get_map():
                    self._selector.unregister(line.process.output)
                return
            for text in line.lines.feed(data):
                self._on_output(line.name, text)
            if once:
                return

    def _finish(self, line: Line) -> None:
        """The process is dead: what the kernel still holds of it is all there will ever be."""
        if line.open:
            self._receive(line, None)
        self._stop_reading(line)
        self._read_output(line, once=False)
        for text in line.lines.feed(b"", end=True):
            self._on_output(line.name, text)
        if line.process.output in self._selector.get_map():
            self._selector.unregister(line.process.output)
        self._selector.unregister(line.process.ended)
        line.ended.set()
        tell(self._supervisor, Ended(line.name, line.incarnation))


def tell(actor: pykka.ActorRef[Any], message: object) -> None:
    """Tell an actor something it may not live to hear: whoever stopped it does not want to know."""
    try:
        actor.tell(message)
    except pykka.ActorDeadError:
        logger.debug("nobody there for %r", message)
