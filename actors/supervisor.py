"""The actor that starts, watches, stops, reaps and restarts children, and tells its listener."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pykka

from actors.channel import STOP
from actors.crash_points import crash_point
from actors.events import ChildDown, ChildUp, GaveUp, Tick
from actors.identity import Identity
from actors.lifecycle import Event, State, transition
from actors.link import Link
from actors.places.local.fork_server import ForkServer
from actors.places.local.place import LocalPlace
from actors.places.place import Place
from actors.reactor import ChannelGarbled, ChildReady, Outbox, ProcessEnded, Reactor, TickDue, notify
from actors.spec import HERE, ChildSpec, not_in_time
from actors.stop_order import stop_order
from actors.strategy import Command, RestartIntensity, StartDue, Stop, Strategy, Supervision
from actors.supervised import Supervised


@dataclass(frozen=True, slots=True)
class Placed:
    """A place says: this child has begun, or never will."""

    name: str
    incarnation: int


class UnknownChild(KeyError):
    """There is no child of this name."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class ChildInfo:
    """A child as the supervisor sees it. The identity is that of its latest process."""

    name: str
    state: State
    identity: Identity
    incarnation: int
    resident_bytes: int  # at the last look
    position: int = -1  # what it is touching, and where there, as it says itself; -1: nothing
    detail: int = 0


class Supervisor(pykka.ThreadingActor):
    """Supervises children, each a process of its own with one channel.

    A child that ends is started again as its restart type and the `strategy` have it (`actors.strategy`): at once, with
    the spec it had, and at most as often as the `intensity` allows. A `temporary` child never is: so somebody who knows
    more than its exit code decides, with `restart_child`. What a dead child had been sent is for the listener to send
    again, when it is told `ChildUp`.

    The listener is told `ChildUp`, `FrameReceived`, `ChildDown` and `GaveUp` (`actors.events`), in the order in which
    things happen; its inbox is not bounded. `on_output(child, line)` is called in the I/O thread for every line a child
    prints: it must be quick and must not raise. Call the public methods through `.proxy()`; `outbox` may be used from
    any thread.

    `tick_seconds` is how often children are looked at. After `watchdog_seconds` without a tick (counted by themselves;
    None: never) the children kill this process. With `send_ticks` the listener is asked a `Tick` and the watchdog sees
    a beat only while it answers, so that a listener that hangs counts as a hang of the process.

    Children are forked from `fork_server`, which stays its owner's to close. Without one, and after the death of one,
    the supervisor makes its own, in its own thread. `places` are others beside this machine, by the names that child
    specs have; the supervisor closes them. `on_error(error)` is called with what it dies of itself.

        supervisor = Supervisor.start(listener, RestartIntensity(3, 60.0), print).proxy()
        supervisor.start_child(ChildSpec("store", "shop.store:Store")).get()
        supervisor.outbox.get().send("store", b"put", b"one")
        supervisor.shutdown(5.0).get()  # what was sent is worked off first
    """

    use_daemon_thread = True

    def __init__(
        self,
        listener: pykka.ActorRef[Any],
        intensity: RestartIntensity,
        on_output: Callable[[str, str], None],
        tick_seconds: float = 0.25,
        watchdog_seconds: float | None = 120.0,
        send_ticks: bool = False,
        fork_server: ForkServer | None = None,
        strategy: Strategy = "one_for_one",
        on_error: Callable[[BaseException], None] = lambda error: None,
        places: Mapping[str, Place] | None = None,
    ) -> None:
        super().__init__()
        self._on_error = on_error
        self._listener = listener
        self._supervision = Supervision(strategy, intensity)
        self._tick_seconds = tick_seconds
        self._send_ticks = send_ticks
        self._answer: pykka.Future[Any] | None = None
        self._ticks = 0
        self._children: dict[str, Supervised] = {}  # in start order
        self._incarnations: dict[str, int] = {}
        self._last_exit: dict[str, ChildDown] = {}
        self._reactor = Reactor(listener, self.actor_ref, on_output, tick_seconds)
        self._places: dict[str, Place] = {**(places or {}), HERE: LocalPlace(fork_server, watchdog_seconds)}
        self._open = self._restarting = True
        self.outbox = Outbox(self._reactor)

    # --- for the owner ------------------------------------------------------------------------------------------

    def start_child(self, spec: ChildSpec) -> Identity:
        """Start a new child. Raises `ValueError` if one of this name lives, `OSError` if the system refuses."""
        if not self._open:
            raise ValueError(f"child {spec.name!r} cannot start: the supervisor was shut down")
        if spec.name in self._children and self._children[spec.name].state.alive:
            raise ValueError(f"child {spec.name!r} is {self._children[spec.name].state.value!r} already")
        self._children.pop(spec.name, None)
        self._supervision.added(spec.name)
        return self._launch(spec)

    def stop_child(self, name: str) -> None:
        """Ask it to stop, behind all frames queued for it; SIGKILL after its `shutdown_seconds`. Returns at once.

        Whatever its restart type, it stays down until `restart_child` or `start_child`.
        """
        child = self._child(name)
        self._supervision.resigned(name)
        self._ask(child)

    def kill_child(self, name: str, reason: str) -> None:
        """SIGKILL it; its `ChildDown` will say "killed:" and the reason. Nothing if it is dead or dying.

        A death like any other: a permanent or transient child is started again.
        """
        self._kill(self._child(name), f"killed:{reason}")

    def restart_child(self, name: str, counted: bool = True, spec: ChildSpec | None = None) -> bool:
        """Start a child that is down again, with the spec it had or another one of its name.

        A restart that is not `counted` was not the child's fault and leaves the intensity alone. False if the intensity
        is spent: a `GaveUp` is told and the child stays down. Raises `LifecycleError` if it is not down, `OSError` if
        the system refuses (no room for another process); it is down then as before.
        """
        child = self._child(name)
        if spec is not None and spec.name != name:
            raise ValueError(f"child {name!r} cannot be restarted as {spec.name!r}")
        if child.state is State.GIVEN_UP:
            return False
        transition(child.state, Event.START)  # raises where it is not down
        if counted and (gave_up := self._spend(child)) is not None:
            self._give_up(gave_up)
            return False
        self._launch(spec or child.spec)
        return True

    def shutdown(self, seconds: float) -> None:
        """Stop all children, last started first, each asked and given its time, then SIGKILL; all within `seconds`.

        Those elsewhere are asked together, when the last started of them has its turn (`actors.stop_order`). When it
        returns every process is reaped, its `ChildDown` told, and the I/O thread has ended. The actor itself lives on
        until it is stopped. Nothing is restarted any more, not even what was about to be.
        """
        self._restarting = False
        deadline = time.monotonic() + (seconds if self._reactor.is_alive() else 0.0)
        for children in stop_order(child.spec for child in self._children.values()):
            self._stop_together([self._children[name] for name in children], deadline)
        for child in self._children.values():
            self._await_end(child, None)
        if self._open:
            self._open = False
            self._reactor.close()
            for place in self._places.values():
                place.close()

    def children(self) -> tuple[ChildInfo, ...]:
        """All children ever started, in start order."""
        return tuple(
            ChildInfo(name, c.state, c.process.identity, c.link.incarnation, c.health.resident_bytes, *c.touching())
            for name, c in self._children.items()
        )

    # --- Pykka's hooks ------------------------------------------------------------------------------------------

    def on_start(self) -> None:
        """Start the I/O thread."""
        try:
            self._reactor.start()
        except BaseException as error:
            self._on_error(error)
            raise

    def on_stop(self) -> None:
        """Leave nothing behind, whatever was not shut down."""
        self.shutdown(0.0)

    def on_failure(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        """What fails in here must not leave processes behind; who asks it afterwards only learns that it is dead."""
        if error is not None:
            self._on_error(error)
        self.shutdown(0.0)

    def on_receive(self, message: Any) -> None:
        """What the I/O thread tells."""
        match message:
            case TickDue():
                self._tick()
                self._reactor.tick_done()
            case ChildReady(name, incarnation):
                if (child := self._present(name, incarnation)) is not None and child.state.alive:
                    child.take(Event.READY)
            case Placed(name, incarnation):
                if (child := self._present(name, incarnation)) is not None and child.state.alive:
                    self._watch(child)
            case ProcessEnded(name, incarnation):
                if (child := self._present(name, incarnation)) is not None:
                    self._bury(child)
            case StartDue():
                self._start_due()
            case ChannelGarbled(name, incarnation, found):
                if (child := self._present(name, incarnation)) is not None:
                    self._kill(child, f"killed:garbled channel ({found})")
            case _:
                super().on_receive(message)

    # --- lives --------------------------------------------------------------------------------------------------

    def _child(self, name: str) -> Supervised:
        try:
            return self._children[name]
        except KeyError:
            raise UnknownChild(f"no child {name!r}; there are {', '.join(self._children) or 'none'}") from None

    def _present(self, name: str, incarnation: int) -> Supervised | None:
        """The child, unless the news is of an earlier incarnation."""
        child = self._children.get(name)
        return child if child is not None and child.link.incarnation == incarnation else None

    def _launch(self, spec: ChildSpec) -> Identity:
        crash_point("supervisor.before_start")
        incarnation = self._incarnations.get(spec.name, 0) + 1
        process = self._places[spec.place].start(
            spec, lambda: notify(self.actor_ref, Placed(spec.name, incarnation))
        )  # fmt: skip
        crash_point("supervisor.after_start")
        self._incarnations[spec.name] = incarnation
        child = self._children[spec.name] = Supervised(spec, Link(spec.name, incarnation, process), self._tick_seconds)
        process.beat(self._ticks)
        self._supervision.started(spec.name, spec.restart)
        if process.begun:
            self._watch(child)
        return process.identity

    def _watch(self, child: Supervised) -> None:
        """It has begun, or never will: from now on what comes out of it is heard, and its end seen."""
        if child.watched:
            return
        child.watched = True
        process = child.process
        if process.begun:
            notify(self._listener, ChildUp(child.spec.name, process.identity, child.link.incarnation, process.where))
        self._reactor.add(child.link)

    def _ask(self, child: Supervised) -> None:
        if child.state in (State.STARTING, State.RUNNING):
            child.take(Event.ASK)
            child.health.expect_end()
            if child.watched:
                self._reactor.send_kind(child.link, STOP)
            else:  # still on its way: there is nothing it could end in order
                self._kill(child, "killed:not wanted any more")

    def _stop_together(self, children: list[Supervised], deadline: float) -> None:
        """Ask these, and kill who has not ended in its time. Those with less of it are waited for first."""
        asked = time.monotonic()
        for child in children:
            self._ask(child)
        for child in sorted(children, key=lambda child: child.spec.shutdown_seconds):
            self._await_end(child, min(deadline, asked + child.spec.shutdown_seconds))
            if child.state.alive:
                self._kill(child, not_in_time(child.spec))

    # --- restarts -----------------------------------------------------------------------------------------------

    def _spend(self, child: Supervised) -> GaveUp | None:
        return self._supervision.spend(self._last_exit[child.spec.name], time.monotonic(), child.cause)

    def _give_up(self, gave_up: GaveUp) -> None:
        self._children[gave_up.name].take(Event.GIVE_UP)
        notify(self._listener, gave_up)

    def _carry_out(self, commands: list[Command]) -> None:
        for command in commands:
            match command:
                case Stop(name):
                    self._ask(self._children[name])
                case GaveUp():
                    self._give_up(command)
                case StartDue():
                    self.actor_ref.tell(command)  # by way of the inbox, so that a shutdown can overtake it

    def _start_due(self) -> None:
        if not self._restarting:
            return
        for name in self._supervision.due():
            try:
                self._launch(self._children[name].spec)
            except OSError as error:  # no room for another process: one more death, and those after it wait
                problem = error.strerror or str(error)
                self._carry_out(self._supervision.not_started(self._last_exit[name], problem, time.monotonic()))
                return

    def _kill(self, child: Supervised, reason: str) -> None:
        if child.state in (State.STARTING, State.RUNNING, State.STOPPING):
            child.take(Event.KILL)
            child.ordered = reason
            child.process.kill()
            self._watch(child)

    def _await_end(self, child: Supervised, deadline: float | None) -> None:
        """Wait for the end of its process and bury it; without a deadline SIGKILL must have been sent.

        Who has ended by now has ended in time, whenever the deadline was.
        """
        while child.state.alive:
            left = self._tick_seconds if deadline is None else max(0.0, deadline - time.monotonic())
            ended = child.link.ended.wait(min(left, self._tick_seconds))
            if ended or (child.state is State.KILLED and not self._reactor.is_alive()):
                self._bury(child)
            else:
                self._beat()
            if not left:
                return

    def _bury(self, child: Supervised) -> None:
        if not child.state.alive:
            return
        down = child.end()
        self._last_exit[down.name] = down
        notify(self._listener, down)
        if self._restarting:
            self._carry_out(self._supervision.ended(down, time.monotonic(), child.cause))

    # --- watching -----------------------------------------------------------------------------------------------

    def _tick(self) -> None:
        self._beat()
        for place in self._places.values():
            place.look()
        for child in self._children.values():
            if child.state.alive and (reason := child.health.look(child.state)) is not None:
                self._kill(child, reason)

    def _beat(self) -> None:
        """Show the children's watchdogs that this process gets on; and, if wanted, that the listener does."""
        if self._send_ticks:
            if self._answer is not None:
                try:
                    self._answer.get(timeout=0)
                except pykka.Timeout:
                    return
                except pykka.ActorDeadError:
                    pass  # it failed: its owner is about to shut us down, and is not to be killed for it
            with contextlib.suppress(pykka.ActorDeadError):
                self._answer = self._listener.ask(Tick(self._ticks + 1), block=False)
        self._ticks += 1
        for child in self._children.values():
            if child.state.alive:
                child.process.beat(self._ticks)
