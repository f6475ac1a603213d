"""The states of a child and what leads from one to another. Pure: no process, no clock."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """Where a child is in its life."""

    STARTING = "starting"  # the process exists, its actor does not yet
    RUNNING = "running"  # the actor takes frames
    STOPPING = "stopping"  # it was asked to stop and has until its deadline
    KILLED = "killed"  # SIGKILL is sent, the process is not reaped yet
    EXITED = "exited"  # reaped; only from here may a successor start
    GIVEN_UP = "given up"  # reaped, and the restart intensity is spent

    @property
    def alive(self) -> bool:
        """Whether there is, or may be, a process."""
        return self not in (State.EXITED, State.GIVEN_UP)


class Event(Enum):
    """What can happen to a child."""

    READY = "ready"
    ASK = "ask"
    KILL = "kill"
    REAPED = "reaped"
    START = "start"
    GIVE_UP = "give up"


class LifecycleError(RuntimeError):
    """An event that makes no sense in the child's state: a mistake of the caller, nothing was done."""


_EDGES = {
    (State.STARTING, Event.READY): State.RUNNING,
    (State.STARTING, Event.ASK): State.STOPPING,
    (State.STARTING, Event.KILL): State.KILLED,
    (State.STARTING, Event.REAPED): State.EXITED,
    (State.RUNNING, Event.ASK): State.STOPPING,
    (State.RUNNING, Event.KILL): State.KILLED,
    (State.RUNNING, Event.REAPED): State.EXITED,
    (State.STOPPING, Event.READY): State.STOPPING,  # it was asked before it was there
    (State.STOPPING, Event.KILL): State.KILLED,
    (State.STOPPING, Event.REAPED): State.EXITED,
    (State.KILLED, Event.READY): State.KILLED,  # said on its way out
    (State.KILLED, Event.REAPED): State.EXITED,
    (State.EXITED, Event.START): State.STARTING,
    (State.EXITED, Event.GIVE_UP): State.GIVEN_UP,
}


def transition(state: State, event: Event) -> State:
    """The state that follows. Raises `LifecycleError` where there is no such edge."""
    try:
        return _EDGES[state, event]
    except KeyError:
        raise LifecycleError(f"a child that is {state.value!r} cannot take the event {event.value!r}") from None
