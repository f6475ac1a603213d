"""When commits happen, and what they may mention."""

from __future__ import annotations

import pytest

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.machine.machine import Machine
from elspeth.coordinator.names import AUDIT, SINKS, SOURCE, stage_name
from elspeth.coordinator.policy import Frequency, Policy


class Flow:
    """A machine with one worker, driven by hand; every answer comes when it is asked for."""

    def __init__(self, policy: Policy, stateful: tuple[bool, ...] = (False,)) -> None:
        self.machine = Machine(policy, stateful, start_checkpoint({"out": {"n": 0}}))
        self.sent: list[ev.Send] = []
        self.finished: ev.Finished | None = None
        self.seq = self.rows = self.no = 0
        stages = [stage_name(k) for k, ordered in enumerate(stateful) if ordered]
        for name in (SINKS, *stages, SOURCE, "worker-1"):
            self.tell(ev.Started(name))
            self.tell(ev.Restored(name))

    def tell(self, event: ev.Event) -> None:
        commands = self.machine.step(event)
        self.sent += [command for command in commands if isinstance(command, ev.Send)]
        self.finished = next((command for command in commands if isinstance(command, ev.Finished)), self.finished)

    def take(self, kind: type[m.Message]) -> list[m.Message]:
        """What was sent of this kind since it was asked for last."""
        found = [send.message for send in self.sent if isinstance(send.message, kind)]
        self.sent = [send for send in self.sent if not isinstance(send.message, kind)]
        return found

    def release(self, rows: int) -> None:
        """A chunk is read and decided."""
        split_point = m.SplitPoint(rows, self.rows + rows, None)
        self.tell(ev.ChunkArrived(m.Chunk(self.seq, self.rows, rows, "source", (split_point,)), b"rows"))
        self.tell(ev.SliceDone("worker-1", m.SliceDecided(self.seq, 0, rows, 0.001, {}), b"items", b"records"))
        self.seq, self.rows, self.no = self.seq + 1, self.rows + rows, self.no + 1

    def stage_passed(self, *, flushed: bool = False) -> None:
        self.tell(ev.StagePassed("stage-1", m.StageDone(self.no, 1, {}, flushed=flushed), b"items", (b"",)))

    def written(self, no: int | None = None) -> None:
        self.tell(ev.MicroBatchWritten(m.Written(no or self.no, {}, {}), b"outcomes"))

    def flushed(self) -> None:
        self.tell(ev.SinksFlushed(self.no, {"out": {"n": self.rows}}))


@pytest.mark.parametrize(("frequency", "before"), [("every_row", 0), ("every_n", 4), ("aggregation_only", 9)])
def test_a_commit_is_asked_for_at_the_latest_moment_that_the_frequency_names(frequency: Frequency, before: int) -> None:
    flow = Flow(Policy(frequency, interval=5, max_rows=10))
    for _ in range(before):
        flow.release(1)
    assert not flow.take(m.Flush)
    flow.release(1)
    assert flow.take(m.Flush) == [m.Flush(before + 1)]


def test_an_aggregation_that_flushes_is_committed() -> None:
    flow = Flow(Policy("aggregation_only"), (False, True))
    flow.release(1)
    flow.stage_passed()
    assert not flow.take(m.Flush)
    flow.release(1)
    flow.stage_passed(flushed=True)
    assert flow.take(m.Flush) == [m.Flush(2), m.Flush(2)]


def test_a_commit_that_was_due_when_a_lane_died_is_made_after_its_restore() -> None:
    flow = Flow(Policy("aggregation_only"))
    flow.release(1)
    flow.tell(ev.CommitDue())
    assert flow.take(m.Flush)
    flow.tell(ev.Died(SINKS))
    flow.tell(ev.Started(SINKS))
    flow.tell(ev.Restored(SINKS))
    assert flow.take(m.Flush) == [m.Flush(1)]


def test_a_commit_that_did_not_happen_is_not_sent_again_over_sinks_that_are_to_be_restored() -> None:
    flow = Flow(Policy())
    flow.release(1)
    flow.written()
    flow.flushed()
    assert flow.take(m.Commit)
    flow.tell(ev.Died(AUDIT))
    flow.tell(ev.Died(SINKS))
    flow.tell(ev.Started(SINKS))
    flow.take(m.RestoreSinks)
    flow.tell(ev.AuditOwns(0))
    assert flow.take(m.RestoreSinks) == [m.RestoreSinks({"out": {"n": 0}})]
    assert not flow.take(m.Commit)


def test_sinks_are_not_restored_while_a_commit_may_have_happened() -> None:
    flow = Flow(Policy())
    flow.take(m.RestoreSinks)
    flow.release(1)
    flow.written()
    flow.flushed()
    flow.tell(ev.Died(SINKS))
    flow.tell(ev.Started(SINKS))
    assert not flow.take(m.RestoreSinks)
    flow.tell(ev.CommitDurable(1))
    assert flow.take(m.RestoreSinks) == [m.RestoreSinks({"out": {"n": 1}})]


def test_a_tick_is_an_empty_unit_that_asks_for_no_commit() -> None:
    flow = Flow(Policy("every_row"), (False, True))
    flow.tell(ev.TimeoutDue())
    flow.no = 1
    assert [(work.no, work.tick) for work in flow.take(m.StageWork)] == [(1, True)]  # type: ignore[attr-defined]
    flow.stage_passed()
    flow.written()
    assert not flow.take(m.Flush)


def test_a_tick_in_which_a_batch_was_flushed_is_committed_once() -> None:
    flow = Flow(Policy("aggregation_only"), (False, True))
    flow.tell(ev.TimeoutDue())
    flow.no = 1
    flow.stage_passed(flushed=True)
    flow.written()
    flow.flushed()
    flow.tell(ev.StateAnswered(1, 1, {}))
    assert len(flow.take(m.Commit)) == 1
    flow.take(m.Flush)
    flow.tell(ev.CommitDurable(1))
    flow.tell(ev.CommitDue())
    assert not flow.take(m.Flush)
    assert not flow.machine.released()


def test_what_is_refused_in_one_stage_is_not_refused_in_the_next() -> None:
    flow = Flow(Policy(poison_attempts=1), (False, True))
    flow.release(2)
    flow.tell(ev.Died("stage-1", 1, 1, Suspicion(reason="SIGSEGV")))
    flow.tell(ev.Started("stage-1"))
    flow.tell(ev.Restored("stage-1"))
    assert list(flow.take(m.StageWork)[-1].poison) == [1]  # type: ignore[attr-defined]
    flow.stage_passed()
    assert flow.take(m.Write)[-1].poison == {}  # type: ignore[attr-defined]


def test_an_orderly_stop_ends_when_what_is_released_is_committed_and_not_before() -> None:
    flow = Flow(Policy("aggregation_only"))
    flow.release(3)
    flow.tell(ev.StopRequested())
    assert flow.take(m.Flush) == [m.Flush(1)]  # though no commit was due
    for step in (flow.written, flow.flushed):
        step()
        assert flow.finished is None
    assert len(flow.take(m.Commit)) == 1
    flow.tell(ev.CommitDurable(1))
    assert flow.finished == ev.Finished(complete=False)
    assert flow.machine.durable.row_count == 3


def test_an_orderly_stop_goes_on_to_where_a_commit_can_end() -> None:
    flow = Flow(Policy())
    split_points = (m.SplitPoint(6, 6, None),)
    flow.tell(ev.ChunkArrived(m.Chunk(0, 0, 6, "source", split_points), b"rows"))
    flow.tell(ev.SliceDone("worker-1", m.SliceDecided(0, 0, 2, 0.001, {}), b"items", b"records"))
    flow.no = 1
    flow.written()  # two rows are written, and no commit can stop behind them
    flow.tell(ev.StopRequested())
    assert flow.finished is None
    assert not flow.take(m.Flush)
    flow.tell(ev.SliceDone("worker-1", m.SliceDecided(0, 2, 6, 0.001, {}), b"items", b"records"))
    flow.no, flow.rows = 2, 6
    flow.written()
    flow.flushed()
    flow.tell(ev.CommitDurable(2))
    assert flow.finished == ev.Finished(complete=False)
    assert flow.machine.durable.source_positions["source"].cursor == 6


def test_what_arrives_after_a_stop_is_not_begun() -> None:
    flow = Flow(Policy())
    flow.release(1)
    flow.tell(ev.StopRequested())
    flow.take(m.Work)
    flow.tell(ev.ChunkArrived(m.Chunk(1, 1, 1, "source", (m.SplitPoint(1, 2, None),)), b"rows"))
    assert not flow.take(m.Work)
