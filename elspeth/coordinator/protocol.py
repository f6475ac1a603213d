"""What the main process and its children say to each other: frozen values, one header per frame.

A frame is a list of byte parts. The first is one of these headers, encoded with msgpack; what follows are bodies that
the main process never decodes. Positions in the flow have two names:

    seq, start, stop   a slice of a chunk, before its result is released; rows are counted within the chunk
    no                 a released micro-batch: 1, 2, 3, ... over the life of the run, the order that sinks and audit see
"""

from __future__ import annotations

import functools
import operator
from decimal import Decimal
from typing import Any, Literal

import msgspec

from elspeth.calls.totals import CallTotals
from elspeth.canonical import JsonObject
from elspeth.coordinator.blame import Conviction
from elspeth.coordinator.checkpoint import Checkpoint, SourcePosition
from elspeth.coordinator.tally import NOTHING, Tally
from elspeth.errors import ErrorValue


class Message(msgspec.Struct, frozen=True, tag=True):
    """Base of all headers; the tag is the class name."""


# -- any child to the main process ---------------------------------------------------------------------------------


class Failed(Message, frozen=True):
    """The child cannot go on, and a restart would not help: an `ElspethError` as a value."""

    error: ErrorValue


class Ready(Message, frozen=True):
    """The worker or the source has been restored and takes work."""


# -- source --------------------------------------------------------------------------------------------------------


class ReadFrom(Message, frozen=True):
    """Restore: continue where each source stands. The next chunk is number `seq`, its first row `row_index`."""

    positions: dict[str, SourcePosition]
    seq: int
    row_index: int


class Credit(Message, frozen=True):
    """Permission to send this many more chunks of at most `rows` rows each."""

    chunks: int
    rows: int


class SplitPoint(msgspec.Struct, frozen=True, array_like=True):
    """A place inside a chunk where a commit may stop: after `rows` rows, the source stands at `cursor`."""

    rows: int
    cursor: Any
    proof: str | None


class Chunk(Message, frozen=True):
    """A run of consecutive rows of one source (body: `execution.codec.RowBatch`). The last split point lies at its end.

    A chunk with `ended` and no rows closes the source it names; `last` closes the input. `files` says from which row on
    rows are of which file, where a source reads many.
    """

    seq: int
    row_index: int
    rows: int
    source: str
    split_points: tuple[SplitPoint, ...]
    offset: int | None = None
    ended: bool = False
    last: bool = False
    files: tuple[tuple[int, str], ...] = ()


# -- workers and ordered stages ------------------------------------------------------------------------------------


class Work(Message, frozen=True):
    """Decide rows `start` to `stop` of a chunk (body: the chunk's rows).

    `poison` is set when the only row of the slice has killed its workers: it is not run but set aside. `again`: it was
    given to another process before, which may have made calls for it.
    """

    seq: int
    start: int
    stop: int
    poison: Conviction | None = None
    again: bool = False


class Settled(Message, frozen=True):
    """All rows before `rows` and all micro-batches up to `micro_batch` are committed, and their calls with them."""

    rows: int
    micro_batch: int


class SliceDecided(Message, frozen=True):
    """A slice is decided; bodies: items for the next stage or the sinks, audit records. Times in seconds.

    The worker may answer a slice in parts, each ending at a split point. `leaving` are the items for the next stage,
    `calls` what calls came to, by provider, `tally` what went through nodes and edges.
    """

    seq: int
    start: int
    stop: int
    seconds: float
    outcomes: dict[str, int]
    leaving: int = 0
    calls: dict[str, CallTotals] = {}
    tally: Tally = NOTHING


class StageWork(Message, frozen=True):
    """Take a released micro-batch through a later stage (body: items). `active_seconds` is how long the run has
    been driven.

    `tick` marks an empty micro-batch in which only time-outs may fire; `end` the micro-batch that closes the
    input. `poison` holds the items that have killed their processes, by their place: they are set aside, not run.
    `careful` asks a worker to take one item after the other, and to say which: the micro-batch has seen a death.
    `again`: it was given to another process before.
    """

    no: int
    stage: int
    active_seconds: float
    tick: bool = False
    end: bool = False
    poison: dict[int, Conviction] = {}
    careful: bool = False
    again: bool = False


class LeaseAsked(Message, frozen=True):
    """May a call be sent to this provider? `number` is the asker's own; `tokens` and `cost` are what it may come to."""

    number: int
    provider: str
    tokens: int
    cost: Decimal
    model: str = ""


class LeaseGranted(Message, frozen=True):
    """It may, now."""

    number: int


class LeaseRefused(Message, frozen=True):
    """It may not, and none after it: the run stops because of this error."""

    number: int
    error: ErrorValue


class CallEnd(msgspec.Struct, frozen=True):
    """How a call ended, without a word of what was asked and answered."""

    outcome: str = ""
    reason: str = ""
    status: int | None = None
    input_tokens: int = 0
    output_tokens: int = 0


class LeaseEnded(Message, frozen=True):
    """A call that was granted is over. `tokens` None: nobody counted them; `sent` false: it never left.

    `failure`, `hasty` and `retry_after` (seconds) are what it says of the service (`elspeth.calls.limits.account`).
    With `stops` nothing may be sent any more: the service refuses the account. `exchange` says what came of it.
    """

    number: int
    cost: Decimal
    tokens: int | None = None
    sent: bool = True
    failure: bool = False
    hasty: bool = False
    retry_after: float | None = None
    stops: ErrorValue | None = None
    exchange: CallEnd = CallEnd()


class StageDone(Message, frozen=True):
    """The micro-batch has passed the stage; bodies: items, then audit records in as many as it took.

    `due` is the active time (seconds) of an ordered stage's next time-out; `flushed` says whether a batch was closed;
    `leaving` are the items for the next stage, `calls` what calls came to, by provider, `tally` what went through nodes
    and edges. `first_row` is the lowest index of a row that counted records are of (None: of none).
    """

    no: int
    stage: int
    outcomes: dict[str, int]
    due: float | None = None
    flushed: bool = False
    leaving: int = 0
    calls: dict[str, CallTotals] = {}
    tally: Tally = NOTHING
    first_row: int | None = None


class RestoreStage(Message, frozen=True):
    """Restore an ordered stage to the state of the latest checkpoint (None: empty)."""

    stage: int
    state: JsonObject | None


class StageReady(Message, frozen=True):
    """The ordered stage has been restored and takes work. `due` is the active time (seconds) of its next time-out."""

    stage: int
    due: float | None


class StageState(Message, frozen=True):
    """The answer of an ordered stage to `Flush`: its state after exactly micro-batch `no`, by reference."""

    no: int
    stage: int
    state: JsonObject


# -- sinks ---------------------------------------------------------------------------------------------------------


class RestoreSinks(Message, frozen=True):
    """Continue every output at its position in the latest checkpoint."""

    positions: dict[str, JsonObject]


class TailCut(msgspec.Struct, frozen=True):
    """What stood behind the committed position of an output: `size_bytes` from `offset` on, now in the file `copy`.

    `replaced`: it was a file that no run on record wrote, and whose place the output takes.
    """

    sink: str
    path: str
    copy: str | None
    offset: int
    size_bytes: int
    sha256: str
    replaced: bool = False


class SinksReady(Message, frozen=True):
    """All outputs stand where the checkpoint says, and take rows. `cuts` says what was cut off for that."""

    cuts: tuple[TailCut, ...] = ()


class Write(Message, frozen=True):
    """Write a micro-batch (body: items by sink). With `end`, write the closing bytes after it.

    `careful` asks to go row by row and to say which row is being touched: the micro-batch has seen a death. `poison`
    holds the items that have killed their processes, by their place: they are refused, not written.
    """

    no: int
    end: bool = False
    careful: bool = False
    poison: dict[int, Conviction] = {}


class Written(Message, frozen=True):
    """The micro-batch was taken; body: the outcome records. Counts are per sink and per outcome."""

    no: int
    sinks: dict[str, int]
    outcomes: dict[str, int]
    tally: Tally = NOTHING


class Flush(Message, frozen=True):
    """In band, behind micro-batch `no`: make it durable, or answer with the state that holds after it."""

    no: int


class Flushed(Message, frozen=True):
    """Everything up to micro-batch `no` is on disk; `positions` say where each output stands."""

    no: int
    positions: dict[str, JsonObject]


# -- audit ---------------------------------------------------------------------------------------------------------


class MicroBatchRecords(Message, frozen=True):
    """The records of micro-batch `no`, in as many bodies as roles had something to say; in memory until `Commit`."""

    no: int


class Commit(Message, frozen=True):
    """Commit all micro-batches up to the checkpoint's, and the checkpoint, in one transaction.

    `final` is the commit that completes the run.
    """

    checkpoint: Checkpoint
    final: bool = False


class SupervisionEvent(msgspec.Struct, frozen=True):
    """Something that happened to the tree, for the record; numbered within the attempt, so that it is recorded once.

    `at` is the time of day (ISO 8601, UTC), `pid` the process concerned if there is one.
    """

    number: int
    child: str
    event: str
    pid: int | None
    detail: JsonObject | None
    at: str


class RecordEvent(Message, frozen=True):
    """Put this on record with the next commit. With `token`, at once, and answer `Noted` when it is committed."""

    event: SupervisionEvent
    token: int | None = None


class Noted(Message, frozen=True):
    """The event sent with this token is committed, and all before it."""

    token: int


class Heartbeat(Message, frozen=True):
    """The main process is alive."""

    number: int


class EndAttempt(Message, frozen=True):
    """The attempt ends without a last micro-batch: say so on record, and leave the database in order.

    `failure` is what the run will be said to have failed of, if it did. `closed`: there is nothing to resume.
    """

    status: Literal["interrupted", "failed"]
    end_reason: str
    failure: str | None = None
    closed: bool = False


class Owned(Message, frozen=True):
    """This attempt drives the run; `checkpoint` is what was committed last. The first thing an audit process says.

    `suspects` are the rows behind it that are on record as suspected, with the deaths that each saw alone.
    """

    checkpoint: Checkpoint
    suspects: dict[int, int] = {}


class Durable(Message, frozen=True):
    """Micro-batch `no` and everything before it is committed."""

    no: int


class AttemptEnded(Message, frozen=True):
    """The answer to `EndAttempt`: nothing more will be written."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(functools.reduce(operator.or_, Message.__subclasses__()))

encode = _encoder.encode
"""A header as bytes."""


def decode(header: bytes | memoryview) -> Any:
    """The message behind a header. Raises `msgspec.DecodeError` on anything that `encode` did not write."""
    return _decoder.decode(header)
