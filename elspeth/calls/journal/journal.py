"""The journal of a process that calls: what it writes, what others left, and when either is of no more use."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Lock

from elspeth.calls.journal.entries import RECORDED, CallKey, Intent, Outcome, entries, frame, frames
from elspeth.calls.journal.known import Known, Try
from elspeth.calls.journal.storage import EntryFile, Storage, names, writer_of
from elspeth.calls.model import Exchange
from elspeth.calls.totals import CallTotals, whole

SEGMENT_BYTES = 8 << 20
"""A file of this size is closed, and another begun: the first can be deleted when its rows are durable."""


@dataclass(frozen=True, slots=True, order=True)
class Reach:
    """How far work goes: rows up to this count, micro-batches up to this number."""

    rows: int = 0
    micro_batch: int = 0

    def covers(self, other: Reach) -> bool:
        """Whether nothing of the other lies beyond this."""
        return self.rows >= other.rows and self.micro_batch >= other.micro_batch

    def joined(self, other: Reach) -> Reach:
        """As far as either."""
        return Reach(max(self.rows, other.rows), max(self.micro_batch, other.micro_batch))


@dataclass(slots=True)
class _Segment:
    """A file of ours: all work that was begun before it was closed lies within `reach`."""

    file: EntryFile
    reach: Reach = Reach()
    known: Known = field(default_factory=Known)
    closed: bool = False


@dataclass(slots=True)
class _Left:
    """A file that another process wrote, read up to `read`. `ours`: its writer is dead, and we are to delete it."""

    name: str
    ours: bool
    read: int = 0
    known: Known = field(default_factory=Known)


def journal_folder(state_directory: Path, run_id: str) -> Path:
    """Where the journals of a run are."""
    return state_directory / "calls" / run_id


def row_index(run_id: str, token: str) -> int:
    """The index of the row that a token of this run, or a batch, came of."""
    return int(token[len(run_id) + 1 :][:9])


class Journal:
    """Used by many threads of one process. Methods raise `OSError` where the disk refuses.

    `storage` is where it is kept. `child` is the process's name among the children of the run, the same for its
    successor. For rows before `lost_before` an earlier attempt may have asked on a machine whose journals are not here.
    """

    def __init__(self, storage: Storage, run_id: str, attempt: int, child: str, lost_before: int = 0) -> None:
        self._storage, self._run_id, self._attempt, self._child = storage, run_id, attempt, child
        self._lost_before = lost_before
        self._segments: list[_Segment] = []
        self._left: dict[str, _Left] = {}
        self._lock = Lock()
        self._reach = Reach()
        self.read_others()

    @property
    def folder(self) -> Path:
        """Where it is kept, for people."""
        return self._storage.folder

    # -- what others left --------------------------------------------------------------------------------------

    def read_others(self) -> None:
        """Read what was written by others since the last look: a row may come to us that one of them had in hand."""
        with self._lock:
            for name, data in self._storage.news({name: left.read for name, left in self._left.items()}):
                self._read(name, data)

    def _read(self, name: str, data: bytes) -> None:
        left = self._left.get(name)
        if left is None:
            attempt, child = writer_of(name)
            # A predecessor of our own name is dead, and so is everybody of an earlier attempt.
            left = _Left(name, attempt < f"{self._attempt:04d}" or child == self._child)
            self._left[name] = left
        found = frames(data, str(self.folder / name)) if not left.read else entries(data, 0)
        begun = left.read
        for entry, end in found:
            left.known.add(entry)
            left.read = begun + end

    # -- what is known -----------------------------------------------------------------------------------------

    def tries(self, key: CallKey) -> list[Try]:
        """All tries at this call that are on record and not durable elsewhere, in their order."""
        with self._lock:
            held = [*(left.known for left in self._left.values()), *(segment.known for segment in self._segments)]
            found = {each.intent.number: each for known in held for each in known.tries(key)}
        return [found[number] for number in sorted(found)]

    def begun(self, intent: Intent) -> list[Try]:
        """All tries at this call, before this one is made. Where it may have been sent by an attempt whose journal is
        not here, that is a try of which nobody knows the end; it is written down like any other.
        """
        tries = self.tries(intent.key)
        if tries or not self._lost_before or row_index(self._run_id, intent.key.token) >= self._lost_before:
            return tries
        presumed = self.intend(intent, durable=False)
        presumed.presumed = True
        return [presumed]

    # -- writing -----------------------------------------------------------------------------------------------

    def work(self, reach: Reach) -> None:
        """Work is begun that goes this far."""
        with self._lock:
            self._reach = self._reach.joined(reach)

    def intend(self, intent: Intent, *, durable: bool) -> Try:
        """Write that this is about to be sent."""
        with self._lock:
            segment = self._segment()
            known = segment.known.add(intent)
            assert known is not None
            known.file = segment.file
        segment.file.write(frame(intent), durable=durable)  # not under the lock: another machine may be waited for
        return known

    def conclude(self, known: Try, exchange: Exchange, cost: Decimal) -> None:
        """Write what it came to, beside its intent; durable when this returns."""
        assert known.file is not None
        outcome = Outcome(known.intent.key, known.intent.number, exchange, str(cost))
        known.file.write(frame(outcome), durable=True)
        known.exchange, known.cost = exchange, cost

    def _segment(self) -> _Segment:
        last = self._segments[-1] if self._segments else None
        if last is not None and last.file.size < SEGMENT_BYTES:
            return last
        if last is not None:
            last.closed = True
            last.reach = self._reach
        self._segments.append(_Segment(self._storage.begin()))
        return self._segments[-1]

    # -- forgetting --------------------------------------------------------------------------------------------

    def settled(self, durable: Reach) -> None:
        """Everything that lies within this is committed: what is here of it is of no more use."""

        def in_rows(intent: Intent) -> bool:
            return intent.stage == 0 and row_index(self._run_id, intent.key.token) < durable.rows

        with self._lock:
            for segment in list(self._segments):
                segment.known.forget(in_rows)
                if durable.covers(segment.reach if segment.closed else self._reach):
                    self._segments.remove(segment)
                    segment.file.remove()
            for left in list(self._left.values()):
                left.known.forget(in_rows)
                if left.ours and not len(left.known):
                    self._storage.remove(left.name)


def left_behind(folder: Path, run_id: str, rows: int) -> CallTotals:
    """What the services were paid for by earlier attempts, and is in no commit: those hold the first `rows` rows.

    What later stages asked may be committed all the same: here it counts, for nobody can tell.
    """
    tries: dict[tuple[CallKey, int], Try] = {}
    for name in names(folder):
        known = Known()
        for entry, _ in frames((folder / name).read_bytes(), name):
            known.add(entry)
        for each in known.all():
            if each.intent.kind != RECORDED and (each.intent.stage or row_index(run_id, each.intent.key.token) >= rows):
                tries[each.intent.key, each.intent.number] = each
    return whole(CallTotals.of(each.exchange, each.cost) for each in tries.values())
