"""What the flow machine is told (events) and what it asks for (commands)."""

from __future__ import annotations

from dataclasses import dataclass, field

from elspeth.flow.messages import Chunk, Done, Message, StageDone, Value, Written
from elspeth.flow.units import Body

# -- events --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """A child process runs and waits to be restored."""

    child: str


@dataclass(frozen=True, slots=True)
class Restored:
    """The child has been restored and takes work."""

    child: str


@dataclass(frozen=True, slots=True)
class Died:
    """A child is gone and reaped. `position` is the row index or item it was touching, -1 if none."""

    child: str
    position: int = -1
    detail: int = 0
    evidence: Value = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChunkArrived:
    chunk: Chunk
    rows: Body
    size: int = 0


@dataclass(frozen=True, slots=True)
class PieceDone:
    worker: str
    done: Done
    items: Body
    records: Body


@dataclass(frozen=True, slots=True)
class StagePassed:
    child: str
    done: StageDone
    items: Body
    records: Body


@dataclass(frozen=True, slots=True)
class UnitWritten:
    written: Written
    records: Body


@dataclass(frozen=True, slots=True)
class SinksFlushed:
    no: int
    positions: dict[str, Value]


@dataclass(frozen=True, slots=True)
class StateAnswered:
    no: int
    stage: int
    state: Value


@dataclass(frozen=True, slots=True)
class AuditOwns:
    """Audit (re)joined the attempt: everything up to unit `no` is committed, nothing after it."""

    no: int


@dataclass(frozen=True, slots=True)
class CommitDurable:
    no: int


@dataclass(frozen=True, slots=True)
class BlameNoted:
    """The suspicion with this token is on record."""

    token: int


@dataclass(frozen=True, slots=True)
class TickDue:
    """A time-out of an ordered stage is due: send an empty unit down the flow."""


@dataclass(frozen=True, slots=True)
class CommitDue:
    """Results have waited long enough for a commit."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Give way in order: read no more, finish what is in hand, commit."""


Event = (
    Started | Restored | Died | ChunkArrived | PieceDone | StagePassed | UnitWritten | SinksFlushed | StateAnswered
    | AuditOwns | CommitDurable | BlameNoted | TickDue | CommitDue | Stop
)  # fmt: skip

# -- commands ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Send this message to a child."""

    child: str
    message: Message
    bodies: tuple[Body, ...] = ()


@dataclass(frozen=True, slots=True)
class NeedWorker:
    """There is work for one more worker."""


@dataclass(frozen=True, slots=True)
class Restart:
    """Start a successor. `counted` says whether this death counts against the restart intensity."""

    child: str
    counted: bool


@dataclass(frozen=True, slots=True)
class Recycle:
    """Replace this idle worker by a fresh one, in order."""

    child: str


@dataclass(frozen=True, slots=True)
class Suspect:
    """Commit to the record that this row was being touched when `deaths` workers died alone with it; answer the token.

    `deaths` is 0 for the first suspicion.
    """

    token: int
    row_index: int
    deaths: int
    evidence: Value


@dataclass(frozen=True, slots=True)
class Convicted:
    """A row is set aside as poison. Of an item of a released unit only its place is known, which the evidence says."""

    row_index: int | None
    evidence: Value


@dataclass(frozen=True, slots=True)
class Finished:
    """Nothing is left to do: the input is complete and committed, or the flow has given way after `Stop`."""

    complete: bool


Command = Send | NeedWorker | Restart | Recycle | Suspect | Convicted | Finished
