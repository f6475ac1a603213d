"""Which checkpoints have a tally of nodes and edges: all whose commit added more than one row with its own records."""

from __future__ import annotations

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.machine.commit_pipeline import TALLY_ROWS
from elspeth.coordinator.names import AUDIT
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.tally import NodeTally, Numbers, Tally
from tests.unit.coordinator.machine.test_commits import Flow

ONE = Tally({0: NodeTally(1, 0, 10, 10)}, {0: 1}, 1)


class Counting(Flow):
    """A flow that commits every row, and whose micro-batches count what they are told to."""

    def __init__(self, stateful: tuple[bool, ...] = (False,)) -> None:
        super().__init__(Policy("every_row"), stateful)
        self.stateful = len(stateful) > 1

    def commit(self, rows: int = 1, *, first_row: int | None = None, last: bool = False) -> Checkpoint:
        """Rows go all the way into a commit; answers the checkpoint as audit is given it."""
        tally = Tally({0: NodeTally(rows, 0, 10 * rows, 10)}, {0: rows}, rows)
        split_point = m.SplitPoint(rows, self.rows + rows, None)
        self.tell(ev.ChunkArrived(m.Chunk(self.seq, self.rows, rows, "source", (split_point,), last=last), b"rows"))
        self.tell(ev.SliceDone("worker-1", m.SliceDecided(self.seq, 0, rows, 0.01, {}, tally=tally), b"i", b"r"))
        self.seq, self.rows, self.no = self.seq + 1, self.rows + rows, self.no + 1
        if self.stateful:
            counted = Tally({1: NodeTally(1)}) if first_row is not None else Tally()
            done = m.StageDone(self.no, 1, {}, tally=counted, first_row=first_row)
            self.tell(ev.StagePassed("stage-1", done, b"items", (b"",)))
            self.tell(ev.StateAnswered(self.no, 1, {}))
        self.written()
        self.flushed()
        (commit,) = self.take(m.Commit)
        assert isinstance(commit, m.Commit)
        self.tell(ev.CommitDurable(self.no))
        return commit.checkpoint


def test_the_first_commit_of_an_attempt_has_the_tally_and_a_row_behind_it_adds_nothing() -> None:
    flow = Counting()
    assert flow.commit().tally == ONE
    assert not any(flow.commit().tally for _ in range(3))


def test_several_rows_have_the_tally_with_all_that_was_left_out_before() -> None:
    flow = Counting()
    flow.commit()
    flow.commit()
    assert flow.commit(2).tally == Tally({0: NodeTally(4, 0, 40, 10)}, {0: 4}, 4)


def test_after_many_single_rows_there_is_a_tally_again() -> None:
    flow = Counting()
    flow.commit()
    stored = [bool(flow.commit().tally) for _ in range(2 * TALLY_ROWS)]
    assert [at for at, there in enumerate(stored, 1) if there] == [TALLY_ROWS, 2 * TALLY_ROWS]


def test_records_of_earlier_rows_are_not_counted_again_from_the_row_so_the_tally_is_there() -> None:
    flow = Counting((False, True))
    flow.commit()
    assert not flow.commit().tally
    assert not flow.commit(first_row=2).tally
    assert flow.commit(first_row=1).tally == Tally({0: NodeTally(4, 0, 40, 10), 1: NodeTally(2)}, {0: 4}, 4)


def test_the_last_checkpoint_of_a_run_has_the_tally() -> None:
    flow = Counting()
    flow.commit()
    assert flow.commit(last=True).tally


def test_a_commit_that_is_sent_again_after_the_death_of_audit_says_the_same() -> None:
    flow = Counting()
    flow.commit()
    flow.release(1)
    flow.written()
    flow.flushed()
    (before,) = flow.take(m.Commit)
    flow.tell(ev.Died(AUDIT, -1))
    flow.tell(ev.AuditOwns(1))
    (again,) = flow.take(m.Commit)
    assert again == before


def test_sums_of_tallies_add_counts_and_keep_the_longest_visit() -> None:
    assert NodeTally(2, 1, 30, 20) + NodeTally(3, 0, 90, 60) == NodeTally(5, 1, 120, 60)
    found = Tally({0: NodeTally(1), 2: NodeTally(1)}, {1: 4}, 1) + Tally({2: NodeTally(2)}, {1: 1, 3: 2}, 5)
    assert found == Tally({0: NodeTally(1), 2: NodeTally(3)}, {1: 5, 3: 2}, 6)


def test_numbers_follow_the_ids_and_not_the_order_in_which_a_graph_was_compiled() -> None:
    assert Numbers.of(["z", "a", "m"], ["g:true", "a:continue"]) == Numbers.of(
        ["m", "z", "a"], ["a:continue", "g:true"]
    )
