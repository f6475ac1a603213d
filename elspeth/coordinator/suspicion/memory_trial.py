"""Whether a row takes too much memory, or there is too little for any: another row is tried the same way. Pure.

A row that was alone each time a process of its died for want of memory is accused, not convicted. If another row, alone
in a fresh worker like it, comes through, the accused one has done it. If that dies, too, it is tried with one more; and
when two have died beside the accused one, or nobody is left to try and nobody ever came through, the cause lies
outside: no row is blamed.
"""

from __future__ import annotations

from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.in_flight import ChunkSlice

WITNESSES = 2
"""So many other rows have to die the same way before the memory is to blame. One might be hungry itself."""


class MemoryTrial:
    """The rows that are held until it is known whose doing their deaths were."""

    def __init__(self) -> None:
        self._accused: tuple[ChunkSlice, Suspicion] | None = None
        self._dead: list[ChunkSlice] = []  # others that died as it did
        self._verdict: list[int] = []
        self._enough = False  # a row came through alone, earlier in this attempt

    def accuse(self, chunk_slice: ChunkSlice, suspicion: Suspicion) -> None:
        """Its last chance is spent: it waits for how another row fares."""
        chunk_slice.held = True
        self._accused = (chunk_slice, suspicion)

    def died(self, chunk_slice: ChunkSlice) -> bool:
        """A row died alone for want of memory; True if that was a witness's death, which says nothing of itself."""
        if self._accused is None:
            return False
        chunk_slice.held = True
        self._dead.append(chunk_slice)
        if len(self._dead) >= WITNESSES:
            self.give_up()
        return True

    def survived(self) -> list[tuple[ChunkSlice, Suspicion]]:
        """A row came through alone: who is convicted by that. Witnesses that died become suspects of their own."""
        self._enough = True
        if self._accused is None:
            return []
        convicted, self._accused = [self._accused], None
        for chunk_slice in [convicted[0][0], *self._dead]:
            chunk_slice.held = False
        self._dead = []
        return convicted

    def wants_witness(self) -> bool:
        """Whether another row is to be tried now."""
        return self._accused is not None and not self._verdict

    def nobody_left(self) -> list[tuple[ChunkSlice, Suspicion]]:
        """There is no other row to try: one that came through before has to do, else no row is to blame.

        Answers who is convicted.
        """
        if self._enough:
            return self.survived()
        self.give_up()
        return []

    def give_up(self) -> None:
        """No row is to blame."""
        assert self._accused is not None
        self._verdict = [self._accused[0].row_index, *(chunk_slice.row_index for chunk_slice in self._dead)]

    def take_verdict(self) -> list[int]:
        """The rows that were tried in vain, once; empty while there is no such verdict."""
        rows, self._verdict = self._verdict, []
        if rows:
            self._accused = None
        return rows
