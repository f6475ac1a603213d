"""The I/O thread of the main process: moves bytes between the children's channels, the listener and the supervisor."""

from __future__ import annotations

import logging
import os
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pykka

from actors.channel import DATA, READY, ChannelClosed, FrameRefused, Part, encode
from actors.event_loop import EventLoop
from actors.events import FrameReceived, GaveUp
from actors.link import Link

logger = logging.getLogger("actors")

_FRAMES_PER_TURN = 16  # then somebody else's turn
_OUTPUT_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class ChildReady:
    """Told to the supervisor: the child's actor exists."""

    name: str
    incarnation: int


@dataclass(frozen=True, slots=True)
class ChannelGarbled:
    """Told to the supervisor: what comes out of this child is no channel any more."""

    name: str
    incarnation: int
    found: str


@dataclass(frozen=True, slots=True)
class ProcessEnded:
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

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor

    def send(self, name: str, *parts: Part, incarnation: int | None = None) -> None:
        """Queue one message for this child; its parts must not change any more.

        Dropped if the child is down, unknown, or (where `incarnation` is given) another one than was meant.
        Raises `FrameRefused` on a message over the limits.
        """
        self._reactor.send(name, parts, incarnation)

    def waiting(self, name: str) -> int:
        """Bytes that this child has not taken off its channel yet; counted when asked, so not for every message."""
        return self._reactor.waiting(name)


class Reactor(EventLoop):
    """One thread for all children: waits on every channel, output pipe and process at once.

    Frames go straight to the listener, in the order of their arrival; the supervisor is told what concerns lives.
    It is closed when no process is left.
    """

    def __init__(
        self,
        listener: pykka.ActorRef[Any],
        supervisor: pykka.ActorRef[Any],
        on_output: Callable[[str, str], None],
        tick_seconds: float,
    ) -> None:
        super().__init__("reactor")
        self._listener, self._supervisor, self._on_output = listener, supervisor, on_output
        self._tick_seconds = tick_seconds
        self._lines: dict[str, Link] = {}
        self._tick_open = False

    # --- from other threads -------------------------------------------------------------------------------------

    def add(self, link: Link) -> None:
        """Take over the descriptors of a new process; from now on frames can be sent to it."""
        with link.lock:
            link.outgoing.put(link.process.first_frame())
        self._lines[link.name] = link
        self.call(lambda: self._register(link))

    def send(self, name: str, parts: tuple[Part, ...], incarnation: int | None) -> None:
        """See `Outbox.send`."""
        link = self._lines.get(name)
        if link is None or incarnation not in (None, link.incarnation):
            return
        self._queue(link, encode(DATA, parts), 1)

    def waiting(self, name: str) -> int:
        """See `Outbox.waiting`."""
        link = self._lines.get(name)
        if link is None:
            return 0
        with link.lock:
            return link.outgoing.size if link.open else 0

    def send_kind(self, link: Link, kind: int) -> None:
        """Queue a frame without parts that is no message."""
        self._queue(link, encode(kind, ()), 0)

    def tick_done(self) -> None:
        """The supervisor has looked at everything; the next tick may come."""
        self._tick_open = False

    def _queue(self, link: Link, buffers: list[Part], messages: int) -> None:
        with link.lock:
            if not link.open:
                return
            link.outgoing.put(buffers)
            link.sent += messages
            if not link.blocked and self._sent_at_once(link):
                return
        self.call(lambda: self._flush(link))

    def _sent_at_once(self, link: Link) -> bool:
        """Whether the child's end took all there is: two threads less have to wake up for a message. Under its lock."""
        try:
            return link.outgoing.flush(link.process.sock, socket.MSG_DONTWAIT)
        except ChannelClosed:
            return True  # as in `_flush`

    # --- in the thread ------------------------------------------------------------------------------------------

    def failed(self, error: Exception) -> None:
        """This leaves the run without ears: the listener is told."""
        logger.exception("the exchange failed")
        notify(self._listener, GaveUp("reactor", f"{type(error).__name__}: {error}", []))

    def serve(self) -> None:
        """Turn until closed, and tick."""
        next_tick = time.monotonic() + self._tick_seconds
        while not self.closing:
            self.turn(max(0.0, next_tick - time.monotonic()))
            if (now := time.monotonic()) >= next_tick:
                next_tick = now + self._tick_seconds
                if not self._tick_open:
                    self._tick_open = True
                    notify(self._supervisor, TickDue())

    def _register(self, link: Link) -> None:
        process = link.process
        self.selector.register(process.sock, selectors.EVENT_READ, lambda: self._channel(link))
        self.selector.register(process.output, selectors.EVENT_READ, lambda: self._print(link))
        self.selector.register(process.ended, selectors.EVENT_READ, lambda: self._finish(link))
        self._flush(link)

    def _channel(self, link: Link) -> None:
        if link.ended.is_set():
            return  # the event is older than the end; the descriptor may be somebody else's by now
        if link.blocked:
            self._flush(link)
        self._receive(link, _FRAMES_PER_TURN)

    def _receive(self, link: Link, limit: int | None) -> None:
        """Hand on up to `limit` frames that have arrived completely."""
        while limit is None or limit > 0:
            try:
                frame = link.reader.read()
            except ChannelClosed:
                self._stop_reading(link)
                return
            except FrameRefused as error:
                self._stop_reading(link)
                notify(self._supervisor, ChannelGarbled(link.name, link.incarnation, str(error)))
                return
            if frame is None:
                return
            kind, parts = frame
            if kind == DATA:
                notify(self._listener, FrameReceived(link.name, link.incarnation, parts))
            elif kind == READY:
                notify(self._supervisor, ChildReady(link.name, link.incarnation))
            limit = limit and limit - 1

    def _stop_reading(self, link: Link) -> None:
        with link.lock:
            link.open = False
        if link.process.sock in self.selector.get_map():
            self.selector.unregister(link.process.sock)

    def _flush(self, link: Link) -> None:
        with link.lock:
            if not link.open:
                return
            try:
                done = link.outgoing.flush(link.process.sock, socket.MSG_DONTWAIT)
            except ChannelClosed:
                return  # what it had sent is still to be read; the end comes from there
        if done is link.blocked:
            link.blocked = not done
            wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if link.blocked else 0)
            self.selector.modify(link.process.sock, wanted, lambda: self._channel(link))

    def _print(self, link: Link) -> None:
        if not link.ended.is_set():
            self._read_output(link, once=True)

    def _read_output(self, link: Link, *, once: bool) -> None:
        while True:
            try:
                data = os.read(link.process.output, _OUTPUT_BYTES)
            except BlockingIOError:
                return
            if not data:
                if link.process.output in self.selector.get_map():
                    self.selector.unregister(link.process.output)
                return
            for text in link.splitter.feed(data):
                self._on_output(link.name, text)
            if once:
                return

    def _finish(self, link: Link) -> None:
        """The process is dead: what the kernel still holds of it is all there will ever be."""
        if link.open:
            self._receive(link, None)
        self._stop_reading(link)
        self._read_output(link, once=False)
        for text in link.splitter.feed(b"", end=True):
            self._on_output(link.name, text)
        if link.process.output in self.selector.get_map():
            self.selector.unregister(link.process.output)
        self.selector.unregister(link.process.ended)
        link.ended.set()
        notify(self._supervisor, ProcessEnded(link.name, link.incarnation))


def notify(actor: pykka.ActorRef[Any], message: object) -> None:
    """Tell an actor something it may not live to hear: whoever stopped it does not want to know."""
    try:
        actor.tell(message)
    except pykka.ActorDeadError:
        logger.debug("nobody there for %r", message)
