"""The agent: one child, started and watched by today's supervisor, on a node, for a head somewhere else."""

from __future__ import annotations

import contextlib
import importlib
import os
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any, cast

import pykka

from actors.channel import DATA, READY, STOP, FrameRefused, encode
from actors.crash_points import crash_point
from actors.events import ChildDown, ChildUp, FrameReceived, GaveUp
from actors.lifecycle import State
from actors.node_agent.fed import FedReader
from actors.node_agent.folder import Folder, OtherContent
from actors.places.local.place import LocalPlace
from actors.spec import ChildSpec
from actors.strategy import RestartIntensity
from actors.supervisor import Supervisor
from actors.wire import words
from actors.wire.conversation import WINDOW_BYTES, Bytes, Conversation, PieceRefused

TICK_SECONDS = 0.25
FIRST_LEASE_SECONDS = 60.0
"""How long it waits for the first word."""

NODE = "node"
"""The name of the place that its child runs in: this machine, and a folder of its own."""


class NodeAgent:
    """Serves one child from its start to its end.

    `send` hands one piece to the way to the head; it must not block. What comes from there goes into `hear`, from any
    thread. `run` returns when all is over, and the folder and every process are gone.

    Nothing is heard from the head for as long as it said itself: it is gone, or this node is cut off and another child
    does the work. Then the child is killed, and what it had said is for nobody.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._conversation = Conversation()
        self._room = threading.Condition()  # guards the conversation; told when the head let go of bulk
        self._inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._folder: Folder | None = None
        self._reader = FedReader()
        self._argument: list[Bytes] = []
        self._hello: words.Hello | None = None
        self._name = ""
        self._supervisor: pykka.ActorRef[Supervisor] | None = None
        self._outbox: Any = None
        self._asked: list[tuple[pykka.Future[Any], Callable[[Any], None]]] = []
        self._taken = 0  # bytes of the channel that were heard, and of which the head still counts
        self._silent_ticks = self._ticks = 0
        self._ready = self._down = self._over = False
        self.alone = False
        """Whether it ended because nothing was heard from the head: nobody may be there for its last words."""

    # --- from other threads -------------------------------------------------------------------------------------

    def hear(self, piece: bytes) -> None:
        """A piece came from the head."""
        self._inbox.put(piece)

    def tell(self, event: Any) -> None:
        """What the supervisor tells its listener. While too much waits to be sent, its I/O thread waits here."""
        match event:
            case FrameReceived():
                with self._room:
                    self._room.wait_for(lambda: self._over or self._conversation.queued < WINDOW_BYTES)
                    for buffer in encode(DATA, event.parts):
                        self._conversation.put(words.CHANNEL, buffer)
                    self._flush()
            case ChildUp():
                crash_point("agent.before_up")
                self._put(words.UP, words.text_of(event.identity))
                crash_point("agent.after_up")
            case ChildDown() | GaveUp():
                self._inbox.put(event)

    def _print(self, _: str, line: str) -> None:
        self._put(words.OUTPUT, f"{line}\n".encode(errors="replace"))

    def _put(self, kind: int, data: bytes) -> None:
        with self._room:
            self._conversation.put(kind, data)
            self._flush()

    def _say(self, kind: int, data: bytes = b"") -> None:
        with self._room:
            self._conversation.say(kind, data)
            self._flush()

    def _flush(self) -> None:
        """Under the lock."""
        for piece in self._conversation.pieces():
            crash_point("agent.before_send")
            self._send(piece)
            crash_point("agent.after_send")

    # --- in the thread that runs it -----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until the child has ended and the head knows, or the head is gone."""
        try:
            self._serve()
        finally:
            with self._room:
                self._over = True
                self._room.notify_all()
            if self._supervisor is not None:
                with contextlib.suppress(pykka.ActorDeadError):
                    self._supervisor.stop()  # which ends the child
            if self._folder is not None:
                self._folder.remove()

    def _serve(self) -> None:
        next_tick = time.monotonic() + TICK_SECONDS
        while not self._over and not (self._down and self._conversation.settled):
            try:
                message = self._inbox.get(timeout=max(0.0, next_tick - time.monotonic()))
            except queue.Empty:
                message = None
            if isinstance(message, bytes):
                self._hear(message)
            elif isinstance(message, ChildDown):
                self._bury(message)
            elif isinstance(message, GaveUp | BaseException):
                self._give_up(words.LOST, f"failed: {getattr(message, 'reason', message)}")
            if (now := time.monotonic()) >= next_tick:  # a late tick is one tick: a pause of the machine is no silence
                next_tick = now + TICK_SECONDS
                self._tick()

    def _hear(self, piece: bytes) -> None:
        crash_point("agent.before_receive")
        with self._room:
            before = self._conversation.heard
            try:
                items = self._conversation.hear(piece)
            except PieceRefused:
                self._over = True
                return
            if self._conversation.heard > before:
                self._silent_ticks = 0
            self._flush()
            self._room.notify_all()
        try:
            for kind, data in items:
                self._take(kind, data)
        except (OSError, FrameRefused) as error:
            self._give_up(words.LOST, f"cannot go on: {error}")
        except OtherContent as error:
            self._give_up(words.REFUSED, f"refuses it: {error}")
        crash_point("agent.after_receive")
        self._let_go()

    def _take(self, kind: int, data: Bytes) -> None:
        if kind == words.CHANNEL:
            self._taken += len(data)
            for frame, parts in self._reader.frames(data):
                if frame == DATA:
                    self._outbox.send(self._name, *parts)
                elif frame == STOP:
                    self._ask(self._proxy.stop_child(self._name))
        elif kind == words.HELLO:
            self._hello = words.Hello(**words.value_of(data))
            self._say(words.FACTS, words.text_of(facts(self._hello)))
        elif kind == words.FILE:
            self._own_folder().begin(**words.value_of(data))
        elif kind == words.CONTENT:
            self._taken += len(data)
            self._own_folder().content(data)
        elif kind == words.ARGUMENT:
            self._taken += len(data)
            self._argument.append(data)
        elif kind == words.START:
            self._start(words.Start(**words.value_of(data)))

    def _own_folder(self) -> Folder:
        if self._folder is None:
            self._folder = Folder()
        return self._folder

    def _start(self, start: words.Start) -> None:
        assert self._hello is not None
        os.environ.update(self._hello.environment)
        self._name = start.name
        place = LocalPlace(watchdog_seconds=120.0, folder=str(self._own_folder().path))
        self._supervisor = Supervisor.start(
            cast("pykka.ActorRef[Any]", self), RestartIntensity(), self._print, tick_seconds=TICK_SECONDS,
            places={NODE: place}, on_error=self._inbox.put,
        )  # fmt: skip
        self._proxy = self._supervisor.proxy()
        self._outbox = self._proxy.outbox.get()
        spec = ChildSpec(argument=b"".join(self._argument), restart="temporary", place=NODE, **asdict(start))
        self._argument.clear()
        crash_point("agent.before_start")
        self._ask(self._proxy.start_child(spec))

    def _bury(self, down: ChildDown) -> None:
        crash_point("agent.before_down")
        if self._folder is not None:
            self._folder.remove()
            self._folder = None
        self._put(words.DOWN, words.text_of(words.Down.of(down)))
        crash_point("agent.after_down")
        self._down = True

    def _give_up(self, kind: int, why: str) -> None:
        self._say(kind, why.encode())
        self._over = True

    # --- ticks --------------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._ticks += 1
        self._silent_ticks += 1
        lease = FIRST_LEASE_SECONDS if self._hello is None else self._hello.lease_seconds
        if self._silent_ticks * TICK_SECONDS > lease:
            self.alone = True
            self._give_up(words.LOST, f"has heard nothing from here for {lease:g} s")
            return
        self._answers()
        self._let_go()
        if self._hello is None:
            return
        beat_due = self._ticks % max(1, round(self._hello.beat_seconds / TICK_SECONDS)) == 0
        if self._supervisor is None or self._down:
            if beat_due:
                self._say(words.BEAT)
        elif not self._asked and (beat_due or not self._ready):  # one that does not answer falls silent, and is lost
            self._ask(self._proxy.children(), self._say_status)

    def _ask(self, future: Any, then: Callable[[Any], None] = lambda _: None) -> None:
        """The supervisor may take its time: its answer is looked for at every tick, and nothing waits for it."""
        self._asked.append((future, then))

    def _answers(self) -> None:
        while self._asked:
            future, then = self._asked[0]
            try:
                answer = future.get(timeout=0)
            except pykka.Timeout:
                return
            except OSError as error:
                self._give_up(words.LOST, f"cannot start it: {error.strerror or error}")
                return
            except pykka.ActorDeadError:
                return
            self._asked.pop(0)
            then(answer)

    def _say_status(self, children: Any) -> None:
        for child in children:
            if child.state is State.RUNNING and not self._ready:
                self._ready = True
                with self._room:
                    for buffer in encode(READY, ()):
                        self._conversation.put(words.CHANNEL, buffer)
            status = words.Status(child.position, child.detail, child.resident_bytes)
            self._say(words.STATUS, words.text_of(status))

    def _let_go(self) -> None:
        """Tell the head how much of what it sent takes no memory here any more."""
        kept = self._outbox.waiting(self._name) if self._outbox is not None else 0
        if (count := self._taken - kept) > 0:
            self._taken -= count
            with self._room:
                self._conversation.let_go(count)
                self._flush()


def facts(hello: words.Hello) -> words.Facts:
    """What is there on this node, as the function says that the head named."""
    if hello.version != words.VERSION or not hello.facts:
        return words.Facts(words.VERSION)
    module, _, name = hello.facts.partition(":")
    try:
        return words.Facts(words.VERSION, dict(getattr(importlib.import_module(module), name)()))
    except Exception as error:  # noqa: BLE001 - whatever keeps it from being known is what there is to say
        return words.Facts(words.VERSION, problem=f"{type(error).__name__}: {error}")
