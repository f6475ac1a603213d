"""What a backlog has counted as it went is what it comes to, and what it finds is what nobody has."""

from __future__ import annotations

import random

from elspeth.coordinator.in_flight import ChunkSlice
from elspeth.coordinator.machine.backlog import Backlog, Counted


def counted(backlog: Backlog) -> Counted:
    slices = backlog.slices
    open_ = [each.stop - each.start for each in slices if not each.done]
    return Counted(
        sum(each.stop - each.start for each in slices), sum(each.size for each in slices), len(open_), sum(open_)
    )


def waiting(backlog: Backlog) -> list[ChunkSlice]:
    free = [each for each in backlog.slices if not each.done and each.worker is None]
    return [each for each in free if each.blame is None and not each.held]


def one_turn(backlog: Backlog, chance: random.Random, row: int) -> int:
    turn = chance.randrange(6)
    out = [each for each in backlog.slices if each.worker is not None]
    if turn <= 1:
        rows = chance.randrange(1, 9)
        backlog.add([ChunkSlice(row, 0, rows, row, "in", (), b"", 10 * rows)])
        return row + rows
    if turn == 2 and (free := backlog.waiting()):
        chance.choice(free).worker = "worker-1"
        backlog.given()
    elif turn == 3 and out:
        chunk_slice = chance.choice(out)
        done = chance.choice([chunk_slice.stop, max(chunk_slice.start + 1, chunk_slice.stop - 1)])
        first, _ = backlog.decided(chunk_slice, done)
        first.done, first.worker = True, None
    elif turn == 4:
        backlog.release()
    elif out:
        chunk_slice = chance.choice(out)
        chunk_slice.worker, chunk_slice.blame = None, chance.choice([None, 7])
        backlog.changed()
    return row


def test_counts_and_finds_are_those_of_a_look_at_each_slice() -> None:
    for seed in range(40):
        chance, backlog, row = random.Random(seed), Backlog(), 0
        for _ in range(200):
            row = one_turn(backlog, chance, row)
            assert backlog.count() == counted(backlog)
            assert backlog.waiting() == waiting(backlog)
