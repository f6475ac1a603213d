"""What the coordinator's machine is told (events) and what it asks for (commands)."""

from __future__ import annotations

from msgspec import Struct

from elspeth.canonical import JsonObject
from elspeth.coordinator.blame import Conviction, Suspicion
from elspeth.coordinator.in_flight import Body
from elspeth.coordinator.protocol import Chunk, Message, SliceDecided, StageDone, Written

# -- events --------------------------------------------------------------------------------------------------------


class Started(Struct, frozen=True):
    """A child process runs and waits to be restored."""

    child: str


class Restored(Struct, frozen=True):
    """The child has been restored and takes work."""

    child: str


class Died(Struct, frozen=True):
    """A child is gone and reaped. `position` is the row index or the place of the item it was touching, -1 if none.

    `detail` is the number of the node that had the row, or of the micro-batch that the item was in. `fork_server` is
    the pid of the one that all children died with, 0 where this one died alone. `lost`: its place was, and it with it.
    """

    child: str
    position: int = -1
    detail: int = 0
    suspicion: Suspicion = Suspicion(reason="died")
    fork_server: int = 0
    lost: bool = False

    @property
    def memory(self) -> bool:
        """Whether it died for want of memory that no setting of ours bounds, so that it may not be the row's doing."""
        return self.suspicion.memory


class NoRoom(Struct, frozen=True):
    """This worker is on its way, and for now the cluster has no room for it."""

    child: str


class ChunkArrived(Struct, frozen=True):
    chunk: Chunk
    rows: Body
    size: int = 0


class SliceDone(Struct, frozen=True):
    worker: str
    done: SliceDecided
    items: Body
    records: Body


class StagePassed(Struct, frozen=True):
    child: str
    done: StageDone
    items: Body
    records: tuple[Body, ...]


class MicroBatchWritten(Struct, frozen=True):
    written: Written
    records: Body


class SinksFlushed(Struct, frozen=True):
    no: int
    positions: dict[str, JsonObject]


class StateAnswered(Struct, frozen=True):
    no: int
    stage: int
    state: JsonObject


class AuditOwns(Struct, frozen=True):
    """Audit (re)joined the attempt: everything up to micro-batch `no` is committed, nothing after it."""

    no: int


class CommitDurable(Struct, frozen=True):
    no: int


class BlameNoted(Struct, frozen=True):
    """The suspicion with this token is on record."""

    token: int


class TimeoutDue(Struct, frozen=True):
    """A time-out of an ordered stage is due: send an empty micro-batch down the flow."""


class CommitDue(Struct, frozen=True):
    """Results have waited long enough for a commit."""


class StopRequested(Struct, frozen=True):
    """Give way in order: read no more, finish what is in hand, commit."""


Event = (
    Started | Restored | Died | NoRoom | ChunkArrived | SliceDone | StagePassed | MicroBatchWritten | SinksFlushed
    | StateAnswered | AuditOwns | CommitDurable | BlameNoted | TimeoutDue | CommitDue | StopRequested
)  # fmt: skip

# -- commands ------------------------------------------------------------------------------------------------------


class Send(Struct, frozen=True):
    """Send this message to a child."""

    child: str
    message: Message
    bodies: tuple[Body, ...] = ()


class NeedWorker(Struct, frozen=True):
    """There is work for one more worker: this one."""

    child: str


class Restart(Struct, frozen=True):
    """Start a successor. `counted` says whether this death counts against the restart intensity."""

    child: str
    counted: bool


class Recycle(Struct, frozen=True):
    """Replace this idle worker by a fresh one, in order."""

    child: str


class Suspect(Struct, frozen=True):
    """Commit to the record that this row was being touched when `deaths` workers died alone with it; answer the token.

    `deaths` is 0 for the first suspicion.
    """

    token: int
    row_index: int
    deaths: int
    suspicion: Suspicion


class InHand(Struct, frozen=True):
    """Mark, where the death of every process does not erase it, that this row alone is in hand now; None: no row."""

    row_index: int | None


class ManyInHand(Struct, frozen=True):
    """The rows that go one at a time are through: from now on many are in hand, and a mark would name none of them."""


class GivenOut(Struct, frozen=True):
    """Mark that rows before `row_end` are given to workers, and none behind it."""

    row_end: int


class Convicted(Struct, frozen=True):
    """A row is set aside as poison. Of an item of a micro-batch only its place is known: the conviction says it."""

    row_index: int | None
    conviction: Conviction


class OutOfMemory(Struct, frozen=True):
    """Different rows died alone for want of memory, or nobody is left to compare with: it is not the rows' doing.

    `rows` are those that were tried; none is blamed.
    """

    rows: list[int]


class Finished(Struct, frozen=True):
    """Nothing is left to do: the input is complete and committed, or the flow has given way after `StopRequested`."""

    complete: bool


Command = (
    Send | NeedWorker | Restart | Recycle | Suspect | InHand | ManyInHand | GivenOut | Convicted | OutOfMemory
    | Finished
)  # fmt: skip
