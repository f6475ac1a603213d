"""A chunk comes with each of its slices; a worker decodes it once."""

from __future__ import annotations

from unittest.mock import Mock, patch

import pytest

from elspeth.coordinator.protocol import Work
from elspeth.execution import codec
from elspeth.execution.codec import RowBatch
from elspeth.roles.worker import WorkerRole

ROWS = 5


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The first rows of the chunks that were decoded, in order."""
    found: list[int] = []
    decode = codec.decode_rows

    def noted(body: bytes | memoryview) -> RowBatch:
        rows = decode(body)
        found.append(rows.row_index)
        return rows

    monkeypatch.setattr(codec, "decode_rows", noted)
    return found


def chunk(seq: int) -> memoryview:
    rows: list[codec.Row | None] = [{"id": seq * ROWS + place} for place in range(ROWS)]
    return memoryview(codec.encode_rows(RowBatch("source", seq * ROWS, "", rows, {}, None)))


@pytest.fixture
def worker() -> WorkerRole:
    worker = WorkerRole.__new__(WorkerRole)
    worker._chunk = None
    return worker


def work(seq: int, start: int, *, again: bool = False) -> Work:
    return Work(seq, start, start + 1, None, again)


def test_a_chunk_whose_rows_go_one_at_a_time_is_decoded_once(worker: WorkerRole, decoded: list[int]) -> None:
    for start in range(ROWS):
        assert worker._rows_of(work(3, start), chunk(3)).rows[start] == {"id": 15 + start}
    assert decoded == [15]
    assert worker._chunk is None  # its last row has been given out: it is held no longer


def test_another_chunk_and_what_is_given_out_again_are_decoded_anew(worker: WorkerRole, decoded: list[int]) -> None:
    assert worker._rows_of(work(0, 0), chunk(0)).rows[0] == {"id": 0}
    assert worker._rows_of(work(1, 1), chunk(1)).rows[1] == {"id": 6}
    assert worker._rows_of(work(1, 1, again=True), chunk(1)).rows[1] == {"id": 6}
    assert decoded == [0, 5, 5]


@pytest.mark.parametrize(
    ("split_points", "start", "stop"),
    [([5], 0, 5), ([5], 1, 2), ([5], 3, 5), ([2, 5], 0, 4), ([1, 2, 3, 4, 5], 2, 4), ([2, 5], 2, 3)],
)
def test_every_row_of_a_slice_is_taken_wherever_it_may_be_divided(
    split_points: list[int], start: int, stop: int, worker: WorkerRole
) -> None:
    rows: list[codec.Row | None] = [{"id": place} for place in range(ROWS)]
    slot, answer = Mock(), Mock()
    worker._pools, worker._slots, worker.port = {}, {0: slot}, Mock()
    with patch.object(WorkerRole, "_answer", answer):
        worker._work(Work(0, start, stop, None, False), RowBatch("source", 0, "", rows, {}, split_points))
    assert [call.args[1] for call in slot.ingest.take.call_args_list] == list(range(start, stop))
    [last] = answer.call_args_list[-1:]
    assert last.args[2] == stop
