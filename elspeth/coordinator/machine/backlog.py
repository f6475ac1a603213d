"""Slices that are read and not released, in the order of the input: counted and searched without looking at each. Pure.

With a thousand workers thousands of slices are under way, and each message is a reason to ask what is left of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from elspeth.coordinator.in_flight import ChunkSlice


class Counted(NamedTuple):
    """What slices come to: their rows and bytes, and how many slices and rows of them are not decided."""

    rows: int
    size: int
    undecided: int
    undecided_rows: int


class Backlog:
    """The slices; who changes them or their list otherwise than through the methods here says `changed`."""

    def __init__(self) -> None:
        self.slices: list[ChunkSlice] = []
        self._counted: Counted | None = None
        self._free: int | None = 0  # slices that nobody has and that are not decided, if that is known

    def changed(self) -> None:
        """Anything may be another now."""
        self._counted = self._free = None

    def add(self, slices: Iterable[ChunkSlice]) -> None:
        """These have come."""
        for chunk_slice in slices:
            self.slices.append(chunk_slice)
            if self._free is not None and not chunk_slice.done:
                self._free += 1
            self._count(chunk_slice, 1, 0 if chunk_slice.done else 1)

    def given(self) -> None:
        """One that nobody had has been given to a worker."""
        if self._free is not None:
            self._free -= 1

    def decided(self, chunk_slice: ChunkSlice, done: int) -> tuple[ChunkSlice, ChunkSlice | None]:
        """A worker has decided it, or its rows before `done`: what is decided, and the rest, which it has in hand."""
        if done == chunk_slice.stop:
            self._count(chunk_slice, 0, -1)
            return chunk_slice, None
        self._counted = None
        at = self.slices.index(chunk_slice)
        rest = chunk_slice.part(done, chunk_slice.stop)
        rest.worker = chunk_slice.worker
        first = chunk_slice.part(chunk_slice.start, done)
        self.slices[at : at + 1] = [first, rest]
        return first, rest

    def replace(self, chunk_slice: ChunkSlice, parts: list[ChunkSlice]) -> None:
        """These take the place of this one."""
        at = self.slices.index(chunk_slice)
        self.slices[at : at + 1] = parts
        self.changed()

    def release(self) -> ChunkSlice | None:
        """The next decided one in the order of the input, if it is there."""
        if self.slices and self.slices[0].done:
            self._count(self.slices[0], -1, 0)
            return self.slices.pop(0)
        return None

    def count(self) -> Counted:
        """What they come to."""
        if self._counted is None:
            rows = size = undecided = undecided_rows = 0
            for chunk_slice in self.slices:
                count = chunk_slice.stop - chunk_slice.start
                rows += count
                size += chunk_slice.size
                if not chunk_slice.done:
                    undecided += 1
                    undecided_rows += count
            self._counted = Counted(rows, size, undecided, undecided_rows)
        return self._counted

    def _count(self, chunk_slice: ChunkSlice, here: int, undecided: int) -> None:
        """So many more like this one are here, and so many more are not decided."""
        if self._counted is not None:
            before, rows = self._counted, chunk_slice.stop - chunk_slice.start
            self._counted = Counted(
                before.rows + here * rows, before.size + here * chunk_slice.size, before.undecided + undecided,
                before.undecided_rows + undecided * rows,
            )  # fmt: skip

    def waiting(self) -> list[ChunkSlice]:
        """Those that may be given to a worker now, in order; what nobody has is mostly what came last."""
        found: list[ChunkSlice] = []
        for chunk_slice in reversed(self.slices):
            if self._free is not None and len(found) >= self._free:
                break
            if chunk_slice.worker is None and not chunk_slice.done:
                found.append(chunk_slice)
        self._free = len(found)
        return [chunk_slice for chunk_slice in reversed(found) if chunk_slice.blame is None and not chunk_slice.held]
