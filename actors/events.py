"""What a supervisor tells its listener: frozen values, in the order in which things happened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from actors.identity import Identity


@dataclass(frozen=True, slots=True)
class ChildUp:
    """A process was started for this child; frames can be sent to it from now on. `incarnation` counts from 1.

    `where` is the node that it runs on; empty: this machine.
    """

    name: str
    identity: Identity
    incarnation: int
    where: str = ""


@dataclass(frozen=True, slots=True)
class FrameReceived:
    """A child sent this message. Parts are read-only views on one buffer that belongs to the receiver."""

    name: str
    incarnation: int
    parts: list[memoryview]


@dataclass(frozen=True, slots=True)
class ChildDown:
    """A child's process is reaped, and every frame it had sent completely was told before.

    Either `exit_code` or `signal` (a name such as "SIGKILL") is None. `reason` is one of

        exited        it ended by itself
        signal        somebody or something else killed it
        fork_server   the process it was forked from died, and it with it
        hang          the supervisor did: no progress for `hang_seconds`
        memory        it went over its memory limit
        oom           the kernel did, because memory ran out: the machine's, or that of a control group
        killed:WHY    the supervisor did, for the reason given
        place         its place ended, or cannot be reached any more; `lost` says what is known of that

    `position` and `detail` are what it said last with `Port.at` (-1 and 0 if nothing); `output_tail` is the end of what
    it wrote to its standard output and error. `fork_server` is the pid of the one it died with, 0 if it died alone.
    `out_of_memory` says whether the kernel took it, or its fork server, for memory; `group_limit_bytes` then is the
    limit of the control group, None where it has none that can be seen. `where` is the node it ran on; empty: this
    machine. A child of another place that never was started has an identity with the pid 0. `refused`, with the reason
    `place`, says that a node will not have it, as `lost` says why: to start it again would not help.
    """

    name: str
    identity: Identity
    incarnation: int
    exit_code: int | None
    signal: str | None
    reason: str
    position: int
    detail: int
    output_tail: str
    fork_server: int = 0
    out_of_memory: bool = False
    group_limit_bytes: int | None = None
    where: str = ""
    lost: str = ""
    refused: bool = False


@dataclass(frozen=True, slots=True)
class GaveUp:
    """The restart intensity is spent on this child, which stays down. `exits` are those that counted, oldest first.

    Under `rest_for_one` those started after it are stopped and stay down, too. All others are supervised as before;
    whether to go on without it is the listener's to decide (`Supervisor.shutdown` ends them all).

    With the name "reactor" and no exits: the I/O thread failed, `reason` is its error; nothing can be received any
    more, only `shutdown` is left.
    """

    name: str
    reason: str
    exits: list[ChildDown]


@dataclass(frozen=True, slots=True)
class Tick:
    """The supervisor's clock, for a listener that asked for it. A late tick is one tick, however late."""

    number: int
