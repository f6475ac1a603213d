"""In a cautious attempt, what a time-out flushes is alone in hand."""

from __future__ import annotations

import pytest

from elspeth.coordinator import events as ev
from elspeth.coordinator import protocol as m
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.machine.dispatcher import Dispatcher
from elspeth.coordinator.policy import Policy
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution


def dispatcher(caution: Caution) -> Dispatcher:
    made = Dispatcher(Policy(), start_checkpoint({}), {}, caution)
    made.source_up = True
    made.worker_up("worker-1")
    return made


def arrive(to: Dispatcher, seq: int, first: int, rows: int) -> None:
    split_points = (m.SplitPoint(rows, first + rows, None),)
    to.arrived(ev.ChunkArrived(m.Chunk(seq, first, rows, "source", split_points), b"rows"), stopping=False)


def decide(by: Dispatcher, seq: int, rows: int) -> None:
    by.slice_done(ev.SliceDone("worker-1", m.SliceDecided(seq, 0, rows, 0.001, {}), b"items", b"records"))
    assert by.release()


def kinds(commands: list[ev.Command] | None) -> list[str] | None:
    return None if commands is None else [type(command).__name__ for command in commands]


@pytest.mark.parametrize("recorded", [False, True])
def test_it_waits_for_rows_in_hand_and_they_wait_for_it(recorded: bool) -> None:
    flow = dispatcher(Caution(1, recorded=recorded))
    arrive(flow, 0, 0, 1)
    for command in flow.assign(settled=True):
        if isinstance(command, ev.Suspect):
            flow.noted(command.token)
    flow.assign(settled=True)
    if not recorded:
        assert flow.tick(settled=True) is None  # its own flush is the only one
    decide(flow, 0, 1)
    flow.put_down()
    assert flow.tick(settled=True) == []
    assert flow.ticked() == []
    arrive(flow, 1, 1, 3)
    assert kinds(flow.assign(settled=True)) == ["GivenOut", "ManyInHand", "Send"]
    assert flow.tick(settled=True) is None
    arrive(flow, 2, 4, 3)
    assert flow.assign(settled=True) == []
    decide(flow, 1, 3)
    assert flow.tick(settled=False) is None
    assert flow.tick(settled=True) == [ev.InHand(None)]
    assert flow.assign(settled=True) == []
    assert flow.ticked() == [ev.ManyInHand()]
    assert kinds(flow.assign(settled=True)) == ["GivenOut", "Send"]


def test_in_any_other_attempt_it_fires_at_once() -> None:
    flow = dispatcher(NO_CAUTION)
    arrive(flow, 0, 0, 1)
    assert kinds(flow.assign(settled=True)) == ["GivenOut", "Send"]
    assert flow.tick(settled=False) == []
    arrive(flow, 1, 1, 3)
    assert kinds(flow.assign(settled=True)) == ["GivenOut", "Send"]
