"""Which rows go one at a time at the beginning of a cautious attempt, and which of them is in hand. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from elspeth.coordinator import events as ev
from elspeth.coordinator.in_flight import ChunkSlice, WorkerState
from elspeth.coordinator.suspicion.caution import Caution


class OneAtATime:
    """The rows of an attempt before `end`; none without caution.

    Where they are marked, a row is given out when the sinks have the one before, the source is silent, and no commit is
    under way: whatever dies while it is marked dies of it, or of nothing here.
    """

    def __init__(self, caution: Caution, row_count: int) -> None:
        """`row_count` rows are committed when the attempt begins."""
        self.marked, self.recorded = caution.marked, caution.recorded
        self._caution = caution.rows > 0
        self.end = row_count + caution.rows
        self._in_hand: int | None = None
        self._over = False

    @property
    def cautious(self) -> bool:
        """Whether rows went, or go, one at a time in this attempt."""
        return self._caution

    @property
    def row_in_hand(self) -> bool:
        """Whether a row is marked as the only one in hand."""
        return self._in_hand is not None

    @property
    def over(self) -> bool:
        """Whether rows went one at a time, and go together now."""
        return self._over

    def tick(self) -> list[ev.Command]:
        """A time-out may fire now, and nothing else is in hand."""
        return [ev.InHand(None)] if self._over else []

    def ticked(self) -> list[ev.Command]:
        """What fired is through, and rows go together again."""
        return [ev.ManyInHand()] if self._over else []

    def goes_on(self, next_row: int, pending: Iterable[ChunkSlice]) -> bool:
        """Whether rows go one at a time now: the `next_row` to come, or those that are here."""
        if next_row < self.end or not self.marked:
            return next_row < self.end
        return self._in_hand is not None or self._undecided(pending)

    def chunk_rows(self, rows: int, next_row: int) -> int:
        """How many rows a chunk may have, of those that it could have: it ends where these end."""
        return min(rows, self.end - next_row) if next_row < self.end else rows

    def may_commit(self, pending: Iterable[ChunkSlice], *, due: bool) -> bool:
        """Whether a commit may be placed: not beside a marked row, which what a flush kills is not to be blamed on.

        Nor, unless it is `due`, while more of a chunk that goes row by row is here: a chunk has one commit.
        """
        return not self.marked or (self._in_hand is None and (due or not self._undecided(pending)))

    def next(self, pending: list[ChunkSlice]) -> ChunkSlice | None:
        """The row to be given out next, cut off its slice in place; None while its blame is being noted."""
        for at, chunk_slice in enumerate(pending):
            if chunk_slice.done or chunk_slice.held:
                continue
            start, stop = chunk_slice.start, chunk_slice.stop
            if stop - start > 1:
                pending[at : at + 1] = [chunk_slice.part(start, start + 1), chunk_slice.part(start + 1, stop)]
            return pending[at] if pending[at].blame is None else None
        return None

    def take(self, chunk_slice: ChunkSlice) -> list[ev.Command]:
        """It is given out now: mark its row, if it is one of these and will be touched; say where these end."""
        if chunk_slice.row_index >= self.end and not self._over and self._caution:
            self._over = True
            return [ev.ManyInHand()]
        if not self.marked or chunk_slice.row_index >= self.end or chunk_slice.poison is not None:
            return []
        self._in_hand = chunk_slice.row_index
        return [ev.InHand(chunk_slice.row_index)]

    def put_down(self, workers: Iterable[WorkerState]) -> list[ev.Command]:
        """The sinks have all that was released: no row is in hand any more, unless a worker has it."""
        if self._in_hand is None or any(worker.tasks for worker in workers):
            return []
        self._in_hand = None
        return [ev.InHand(None)]

    def _undecided(self, pending: Iterable[ChunkSlice]) -> bool:
        return any(not chunk_slice.done and chunk_slice.row_index < self.end for chunk_slice in pending)
