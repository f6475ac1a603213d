"""What whoever watches is told of an attempt: nothing before it owns the run, and where it stands after that."""

from __future__ import annotations

from types import SimpleNamespace

import msgspec

from elspeth.coordinator.checkpoint import SourcePosition, start_checkpoint
from elspeth.coordinator.protocol import Owned
from elspeth.coordinator.reporting.progress import Progress, committed_bytes


def test_before_the_run_is_owned_nothing_is_done() -> None:
    progress = Progress()
    counts = (progress.rows_before, progress.rows_read, progress.rows_done, progress.rows_committed)
    assert counts == (0, 0, 0, 0)
    assert (progress.restarts, progress.poisoned, progress.seconds, progress.waiting) == (0, 0, 0.0, "")
    assert (progress.size, progress.offset, progress.durable, progress.started) == (None, None, None, False)


def test_bytes_are_counted_where_every_source_can_tell() -> None:
    at = [SourcePosition(offset=offset) for offset in (3, 4, None)]
    assert committed_bytes({"a": at[0], "b": at[1]}) == 7
    assert committed_bytes({"a": at[0], "b": at[2]}) is None
    assert committed_bytes({}) is None
    assert committed_bytes({"a": SourcePosition(offset=0)}) == 0


def test_the_input_is_said_to_be_read_only_as_far_as_this_attempt_has_committed() -> None:
    progress = Progress(10)
    begun = start_checkpoint({})
    progress.owned(Owned(msgspec.structs.replace(begun, row_count=5)))
    for rows, offset in ((5, None), (6, 8)):
        durable = msgspec.structs.replace(
            begun, row_count=rows, source_positions={"s": SourcePosition(offset=8)}, written_counts={"out": rows}
        )
        pipeline = SimpleNamespace(outcomes={"completed": 7}, written_rows={"out": 7}, rows_done=7, durable=durable)
        progress.update(SimpleNamespace(pipeline=pipeline, active_seconds=1.5))
        assert progress.offset == offset
        assert (progress.rows_before, progress.rows_done, progress.rows_committed) == (5, 7, rows)
        assert (progress.outcomes, progress.sinks) == ({"completed": 7}, {"out": 7})
        assert (progress.sinks_committed, progress.seconds) == ({"out": rows}, 1.5)
        assert progress.durable is durable


def test_the_last_thousand_lines_are_kept() -> None:
    progress = Progress()
    for number in range(1001):
        progress.notify(str(number))
    assert (len(progress.lines), progress.lines[0]) == (1000, "1")
