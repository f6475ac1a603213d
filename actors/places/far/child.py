"""A child on another machine as the supervisor here holds it: ends that stand for it, and what is said to its agent."""

from __future__ import annotations

import os
import selectors
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from actors.channel import pair
from actors.identity import Identity
from actors.places.far.health import FarHealth
from actors.places.far.luggage import contents
from actors.places.far.terms import Terms, differences
from actors.places.far.transport import Agent, Node
from actors.places.place import Ending, Line
from actors.spec import ChildSpec
from actors.wire import words
from actors.wire.conversation import Bytes, Conversation, PieceRefused

if TYPE_CHECKING:
    from actors.places.far.courier import Courier

_ENOUGH_QUEUED = 1 << 20
"""Bytes that wait to be sent: with so many, nothing more is read from the channel or from a file."""

NOBODY = Identity(0, 0.0, "", "", "")
"""The identity of a child that has no process yet."""


class FarChild:
    """One incarnation of a child, somewhere (`actors.places.place.PlacedChild`).

    What the transport tells, and all that moves bytes, happens in the courier's thread; what the supervisor asks, in
    its own.
    """

    def __init__(
        self, spec: ChildSpec, terms: Terms, courier: Courier, announce: Callable[[], None],
        cause_of: Callable[[Node], Hashable],
    ) -> None:  # fmt: skip
        self._spec, self._terms, self._courier, self._announce = spec, terms, courier, announce
        self._cause_of = cause_of
        self.sock, self._far = pair()
        self._far.setblocking(False)
        self.output, self._printed = os.pipe()
        os.set_blocking(self.output, False)
        os.set_blocking(self._printed, False)
        self.ended = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self.begun = False
        self.identity = NOBODY
        self.node: Node | None = None
        self.status = words.Status(-1, 0, 0)
        self.conversation = Conversation()
        self._agent: Agent | None = None
        self._luggage: Iterator[tuple[int, bytes]] | None = None
        self._channel: deque[Bytes] = deque()  # on its way into the ends that are read here
        self._output: deque[Bytes] = deque()
        self._down: words.Down | None = None
        self._lost, self._refused = "", False
        self._lock = threading.Lock()  # guards `_over` and `ended` between the courier and the supervisor
        self._over = self._closed = self._dropped = False
        self._ticks_between_beats, self._beaten = 1, 0

    @property
    def name(self) -> str:
        """Its name."""
        return self._spec.name

    @property
    def over(self) -> bool:
        """Whether it ended, or was killed."""
        return self._over

    # --- for the supervisor -------------------------------------------------------------------------------------

    @property
    def where(self) -> str:
        """The node and its address."""
        return str(self.node or "")

    def first_frame(self) -> list[bytes | memoryview]:
        """Nothing: the agent gives it its argument."""
        return []

    def beat(self, ticks: int) -> None:
        """Show the agent that this process gets on."""
        if ticks - self._beaten >= self._ticks_between_beats:
            self._beaten = ticks
            self._courier.call(self._say_beat)

    def touching(self) -> tuple[int, int]:
        """What its agent said last."""
        return self.status.position, self.status.detail

    def health(self, line: Line, tick_seconds: float) -> FarHealth:
        """Who looks at it; the agent looks at all but at itself."""
        self._ticks_between_beats = max(1, int(self._terms.beat_seconds / tick_seconds))
        return FarHealth(self._spec, self, self._terms.unreachable_seconds, tick_seconds)

    def kill(self) -> None:
        """Have the agent ended, and hear nothing of it any more."""
        if self._end():
            if self._agent is not None:
                self._agent.kill()
            self._courier.call(self._drop)

    def reap(self, ordered: str | None) -> Ending:
        """Say how it was: as its agent said, or what became of that."""
        if (down := self._down) is not None:
            return Ending(**asdict(down))
        lost = self._lost
        if not lost and ordered == "place":
            lost = f"{self._name} has not been heard of for {self._terms.unreachable_seconds:g} s"
        reason = "place" if lost else ordered or "signal"
        cause = self._cause_of(self.node) if lost and self.node is not None and not self._refused else None
        return Ending(-signal.SIGKILL, reason, *self.touching(), cause=cause, lost=lost, refused=self._refused)

    def close(self) -> None:
        """Let go of the descriptors on this side; the courier does of those on the other."""
        self._end()
        with self._lock:
            self._closed = True
            self.sock.close()
            os.close(self.output)
            os.close(self.ended)
        self._courier.call(self._drop)

    # --- for the transport, from any thread ---------------------------------------------------------------------

    def asked(self, agent: Agent) -> None:
        """This agent was asked for it."""
        self._agent = agent
        self._courier.call(self._send)  # it may have arrived by now

    def arrived(self, node: Node) -> None:
        """See `Ear.arrived`."""
        self._courier.call(lambda: self._greet(node))

    def heard(self, piece: bytes) -> None:
        """See `Ear.heard`."""
        self._courier.call(lambda: self._hear(piece))

    def gone(self, why: str, refused: bool = False) -> None:
        """See `Ear.gone`."""
        self._courier.call(lambda: self._lose(f"{self._name} {why}", refused))

    # --- in the courier's thread --------------------------------------------------------------------------------

    @property
    def _name(self) -> str:
        return f"the node agent on {self.node}" if self.node else "a node agent"

    def _greet(self, node: Node) -> None:
        self.node = node
        terms = self._terms
        hello = words.Hello(
            words.VERSION, terms.facts, terms.unreachable_seconds, terms.beat_seconds, terms.environment
        )  # fmt: skip
        self.conversation.say(words.HELLO, words.text_of(hello))
        self._send()

    def _hear(self, piece: bytes) -> None:
        if self._over or self._down is not None:
            return
        try:
            for kind, data in self.conversation.hear(piece):
                self._take(kind, data)
        except PieceRefused as error:
            self._lose(f"{self._name} sent what is {error}", refused=False)
            return
        self._deliver()

    def _take(self, kind: int, data: Bytes) -> None:
        if kind == words.CHANNEL:
            self._channel.append(data)
        elif kind == words.OUTPUT:
            self._output.append(data)
        elif kind == words.STATUS:
            self.status = words.Status(**words.value_of(data))
        elif kind == words.FACTS:
            self._compare(words.Facts(**words.value_of(data)))
        elif kind == words.UP:
            self.identity = Identity(**words.value_of(data))
            self.begun = True
            self._courier.watch(self._far, selectors.EVENT_READ, self._ready)
            self._announce()
        elif kind == words.DOWN:
            self._down = words.Down(**words.value_of(data))
        elif kind == words.LOST:
            self._lose(f"{self._name} {bytes(data).decode()}", refused=False)
        elif kind == words.REFUSED:
            self._lose(f"{self._name} {bytes(data).decode()}", refused=True)

    def _compare(self, facts: words.Facts) -> None:
        if problem := differences(self._terms, facts, self.where):
            self._lose(problem, refused=True)
            return
        self._luggage = contents(self._spec)
        self._send()

    def _say_beat(self) -> None:
        if self.node is not None and not self._over:
            self.conversation.say(words.BEAT)
            self._send()

    def _send(self) -> None:
        """Say all that may be said now."""
        if self._over or self._agent is None:
            return
        try:
            while True:
                for piece in self.conversation.pieces():
                    self._agent.send(piece)
                if self._luggage is None or self.conversation.queued > _ENOUGH_QUEUED:
                    break
                if (some := next(self._luggage, None)) is None:
                    self._luggage = None
                else:
                    self.conversation.put(*some)
        except OSError as error:
            problem = f"{error.filename} cannot be read: {error.strerror}"
            self._lose(f"what {self._spec.name} is to have with it is not there: {problem}", refused=True)

    def _ready(self) -> None:
        """Something can be read from, or written to, the ends."""
        if self._dropped:
            return
        room = self._courier.room
        while self.conversation.queued < _ENOUGH_QUEUED:
            try:
                count = self._far.recv_into(room)
            except (BlockingIOError, ConnectionResetError):
                break
            if not count:
                break
            self.conversation.put(words.CHANNEL, bytes(room[:count]))
            if count < len(room):
                break
        self._deliver()

    def _deliver(self) -> None:
        """Write what came into the ends that are read here, as far as they take it; then say that, and what is due."""
        if self._dropped:
            return
        self.conversation.let_go(self._written(self._far, self._channel) + self._written(self._printed, self._output))
        if self._down is not None and not self._channel and not self._output:
            self._finish()
            return
        self._send()
        if self.begun and not self._over:
            reading = selectors.EVENT_READ if self.conversation.queued < _ENOUGH_QUEUED else 0
            writing = selectors.EVENT_WRITE if self._channel else 0
            self._courier.watch(self._far, reading | writing, self._ready)
            self._courier.watch(self._printed, selectors.EVENT_WRITE if self._output else 0, self._ready)

    def _written(self, end: socket.socket | int, buffers: deque[Bytes]) -> int:
        count = 0
        while buffers:
            try:
                done = os.write(end if isinstance(end, int) else end.fileno(), buffers[0])
            except BlockingIOError:
                break
            except BrokenPipeError:  # nobody reads it any more: it was killed, or is garbled and will be
                buffers.clear()
                break
            count += done
            if done < len(buffers[0]):
                buffers[0] = memoryview(buffers[0])[done:]
            else:
                buffers.popleft()
        return count

    def _lose(self, sentence: str, refused: bool) -> None:
        with self._lock:
            if self._over or self._down is not None:
                return
            self._lost, self._refused = sentence, refused
        self._finish()

    def _finish(self) -> None:
        """It is over: whatever it had said is where it can be read."""
        if self._end():
            if self._agent is not None:
                self._agent.kill()
            if not self.begun:
                self._announce()
        self._drop()

    def _end(self) -> bool:
        """Say that it ended; whether nobody had."""
        with self._lock:
            if self._over:
                return False
            self._over = True
            os.eventfd_write(self.ended, 1)
            return True

    def _drop(self) -> None:
        if not self._dropped:
            self._dropped = True
            self._courier.watch(self._far, 0, self._ready)
            self._courier.watch(self._printed, 0, self._ready)
            self._far.close()
            os.close(self._printed)
            self._channel.clear()
            self._output.clear()
