"""What the coordinator puts on record and says of an attempt: who came and went, what was found, how it was stopped."""

from __future__ import annotations

import dataclasses
from typing import Any

import msgspec
import pytest

from actors import ChildUp, Tick
from actors.child import EXIT_SOFTWARE
from elspeth.coordinator import coordinator as coordinator_module
from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.shutdown import Phase
from elspeth.coordinator.attempt.timers import HEARTBEAT_TICKS, Timers
from elspeth.coordinator.attempt.topology import Predecessor
from elspeth.coordinator.blame import Suspicion
from elspeth.coordinator.coordinator import TICK_SECONDS
from elspeth.coordinator.elsewhere.far_workers import ClusterTerms
from elspeth.coordinator.suspicion.caution import Caution
from elspeth.errors import ElspethError, Interrupted, RunInProgress, Temporary
from tests.unit.coordinator.stage import CHECKPOINT, WHO, Stage, down

STOP = Interrupted("stopped by SIGTERM")


def owned(**more: Any) -> Stage:
    stage = Stage(more=more)
    stage.owned()
    return stage


def reads(stage: Stage) -> Stage:
    """A worker has rows in hand."""
    for name in ("worker-1", "source"):
        stage.coordinator.on_receive(ChildUp(name, WHO, 1))
        stage.says(name, m.Ready())
    split = m.SplitPoint(2, 2, None)
    chunk = m.Chunk(0, 0, 2, "source", (split,), files=((0, "a.csv"), (1, "b.csv")))
    stage.coordinator._frame("source", chunk, [memoryview(b""), memoryview(b"rows")])
    return stage


def test_a_start_and_a_restart_are_told_apart_and_a_restart_counts() -> None:
    stage = owned()
    stage.coordinator.on_receive(ChildUp("worker-1", WHO, 1))
    assert stage.progress.restarts == 0
    stage.coordinator.on_receive(ChildUp("worker-1", WHO, 2))
    assert [event for event in stage.events() if event[0] == "worker-1"] == [
        ("worker-1", "started"), ("worker-1", "restarted"),
    ]  # fmt: skip
    assert stage.progress.restarts == 1
    assert stage.detail("restarted") == dataclasses.asdict(WHO)


def test_a_child_elsewhere_is_on_record_with_its_node() -> None:
    stage = owned()
    stage.coordinator.on_receive(ChildUp("worker-1", WHO, 2, where="10.0.0.7"))
    assert stage.detail("restarted")["node"] == "10.0.0.7"


def test_a_death_is_on_record_and_said_with_what_it_came_from() -> None:
    stage = owned()
    stage.coordinator.on_receive(down("sinks", exit_code=7))
    assert ("sinks", "exited") in stage.events()
    assert stage.detail("exited") == {"reason": "exited", "exit_code": 7, "signal": None}
    assert stage.progress.lines[-1] == "sinks (pid 4242) died: exit code 7"


def test_a_place_that_is_lost_is_no_death() -> None:
    stage = owned()
    lost = dataclasses.replace(down("worker-1", None), reason="place", lost="the node went away")
    stage.coordinator.on_receive(lost)
    assert stage.progress.lines[-1] == "worker-1 (pid 4242) was lost: the node went away"


def test_a_death_before_the_run_is_owned_costs_a_restart_of_the_allowance() -> None:
    stage = Stage()
    stage.coordinator.on_receive(ChildUp("audit", WHO, 1))
    stage.coordinator.on_receive(down("audit"))
    assert stage.restarted == [("audit", True)]


def test_a_recycled_worker_is_followed_by_another_without_blame() -> None:
    stage = owned()
    stage.coordinator._children.recycle("worker-1")
    said = list(stage.progress.lines)
    stage.coordinator.on_receive(down("worker-1", 0))
    assert stage.stopped == ["worker-1"]
    assert stage.restarted == [("worker-1", False)]
    assert list(stage.progress.lines) == said
    stage.coordinator.on_receive(down("worker-1", 0))  # a second time it is a death
    assert len(stage.progress.lines) == len(said) + 1


def test_when_all_is_over_a_death_is_on_record_no_more_and_only_the_first_failure_counts() -> None:
    stage = owned()
    stage.coordinator._entered(stage.coordinator._shutdown.finished(0.0, complete=True))
    before = stage.events()
    for name in ("sinks", "source"):
        stage.coordinator.on_receive(down(name, exit_code=EXIT_SOFTWARE))
    assert stage.events() == before
    assert stage.restarted == []
    assert stage.outcome.error is not None
    assert stage.outcome.error.message.startswith("sinks (pid 4242)")
    assert stage.outcome.error.next_step == "elspeth doctor"


def test_what_was_found_is_on_record_before_anybody_but_audit_is_started() -> None:
    before = Predecessor(1, 77, "host", "dead", "its lock is free")
    stage = owned(sizes={"source": 12}, takes_over=before)
    assert [event for who, event in stage.events() if who == "run"] == ["inspected", "took_over"]
    assert stage.detail("inspected") == {"sizes": {"source": 12}}
    assert stage.detail("took_over") == dataclasses.asdict(before)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_cluster_is_on_record_where_one_is_asked(workers: int) -> None:
    stage = owned(far=ClusterTerms(workers=workers, facts={"engine": "ray"}))
    assert (("run", "cluster") in stage.events()) == bool(workers)


def test_suspects_and_convicts_of_earlier_attempts_are_said_and_counted() -> None:
    conviction = Suspicion(reason="killed the processes of earlier attempts").convict(3)
    stage = owned(
        suspects={"batch-1": 1, "token-1>out": 2}, convicted={"token-2": conviction},
        suspected_tokens=frozenset({"token-1>out", "token-2"}),
    )  # fmt: skip
    assert list(stage.progress.lines) == [
        "batch batch-1 is suspected: a whole attempt died in its flush",
        "token token-1 is suspected: a whole attempt died 2 times while out wrote it",
    ]
    assert stage.progress.poisoned == 1
    assert stage.detail("quarantined") == {"token": "token-2", "reason": conviction.reason, "attempts": 3}


@pytest.mark.parametrize("rows", [0, 5])
def test_caution_is_said_where_there_is_any(rows: int) -> None:
    stage = Stage(caution=Caution(rows))
    stage.owned()
    assert ("the next 5 rows go one at a time" in " ".join(stage.progress.lines)) == bool(rows)


@pytest.mark.parametrize(
    ("replaced", "says"),
    [
        (False, "cut 9 bytes off out.csv behind the last commit; a copy is in state/cut/1"),
        (True, "out.csv was there, and no run on record here wrote it: it is overwritten; a copy is in state/cut/1"),
    ],
)
def test_what_was_cut_off_an_output_is_on_record_and_said(replaced: bool, says: str) -> None:
    stage = owned()
    cut = m.TailCut("out", "out.csv", "state/cut/1", 4, 9, "0a", replaced)
    stage.says("sinks", m.SinksReady((cut,)))
    assert stage.detail("cut") == msgspec.to_builtins(cut)
    assert stage.progress.lines[-1] == says


@pytest.mark.parametrize("case", ["not yet", "it has them", "taken over", "somebody else says so", "another error"])
def test_only_a_new_run_that_was_refused_its_outputs_has_nothing_to_resume(case: str) -> None:
    more = {"takes_over": Predecessor(1, 77, "host", "dead", "its lock is free")} if case == "taken over" else {}
    stage = owned(**more)
    if case == "it has them":
        stage.says("sinks", m.SinksReady())
    error = ElspethError("broken") if case == "another error" else RunInProgress("somebody writes out.csv")
    stage.says("source" if case == "somebody else says so" else "sinks", m.Failed(error.to_value()))
    [(_, word)] = stage.last_words()
    assert isinstance(word, m.EndAttempt)
    assert word.closed == (case == "not yet")
    assert stage.progress.started == (case != "not yet")


def test_a_first_signal_is_on_record_and_answered_and_a_second_one_ends_what_is_in_hand() -> None:
    stage = reads(owned())
    stage.coordinator.stop_run(STOP)
    assert stage.detail("stopping") == {"reason": STOP.message}
    assert stage.progress.lines[-1] == ("Stopping: finishing what is in flight, at most 8 s; again to stop at once")
    assert stage.last_words() == []
    said = list(stage.progress.lines)
    stage.coordinator.stop_run(STOP)
    [(_, word)] = stage.last_words()
    assert isinstance(word, m.EndAttempt)
    assert (word.status, word.end_reason, word.failure) == ("interrupted", STOP.message, None)
    assert list(stage.progress.lines) == said
    stage.coordinator.stop_run(STOP)  # a third one finds it under way
    assert len(stage.last_words()) == 1


def test_a_signal_before_the_run_is_owned_ends_it_as_soon_as_it_is() -> None:
    stage = Stage()
    stage.coordinator.stop_run(STOP)
    stage.owned()
    assert stage.started == ["Audit"]
    assert len(stage.last_words()) == 1


def test_audit_that_begins_again_while_the_attempt_ends_is_given_the_last_word_again() -> None:
    stage = owned()
    stage.coordinator.stop_run(STOP)
    stage.coordinator.stop_run(STOP)
    stage.says("audit", m.Owned(CHECKPOINT))
    assert len(stage.last_words()) == 2


@pytest.mark.parametrize(("found", "fails"), [(3, False), (2, True)])
def test_audit_that_finds_less_than_was_committed_is_the_end(found: int, fails: bool) -> None:
    stage = Stage()
    stage.owned(checkpoint=msgspec.structs.replace(CHECKPOINT, micro_batch=3, row_count=30))
    stage.says("audit", m.Owned(msgspec.structs.replace(CHECKPOINT, micro_batch=found, row_count=10 * found)))
    assert stage.outcome.done.is_set() == fails
    if fails:
        assert isinstance(stage.outcome.error, Temporary)
        assert stage.outcome.error.details == ("rows on record there: 20; committed: 30",)
        assert stage.outcome.error.next_step.startswith("put the database back")
        assert stage.last_words() == []  # whoever took the commits is the only one who could write it


def test_progress_begins_where_the_checkpoint_ends() -> None:
    stage = Stage()
    stage.owned(checkpoint=msgspec.structs.replace(CHECKPOINT, micro_batch=3, row_count=30))
    told = stage.progress
    assert (told.rows_before, told.rows_read, told.rows_done, told.rows_committed) == (30, 30, 30, 30)
    assert told.started


def test_files_of_a_source_are_on_record_with_the_row_they_begin_at() -> None:
    stage = reads(owned())
    files = [told.detail for told in stage._told() if told.event == "file"]
    assert files == [
        {"source": "source", "row": 0, "file": "a.csv"}, {"source": "source", "row": 1, "file": "b.csv"},
    ]  # fmt: skip
    assert stage.progress.rows_read == 2


def test_a_heartbeat_goes_out_once_the_run_is_owned_every_five_seconds() -> None:
    assert HEARTBEAT_TICKS * TICK_SECONDS == 5.0
    stage = Stage()
    for tick in range(HEARTBEAT_TICKS):
        stage.coordinator.on_receive(Tick(tick))
    assert not [message for _, message in stage.sent if isinstance(message, m.Heartbeat)]
    stage.owned()
    for tick in range(2 * HEARTBEAT_TICKS):
        if tick == HEARTBEAT_TICKS - 1:
            assert not [message for _, message in stage.sent if isinstance(message, m.Heartbeat)]
        stage.coordinator.on_receive(Tick(tick))
    assert [message for _, message in stage.sent if isinstance(message, m.Heartbeat)] == [
        m.Heartbeat(2), m.Heartbeat(3),
    ]  # fmt: skip


def test_ticks_end_an_attempt_that_does_not_stop_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(coordinator_module.time, "monotonic", lambda: now)
    stage = reads(owned(stop_seconds=10.0))
    stage.coordinator.stop_run(STOP)
    for at, words, done in ((1004.5, 0, False), (1004.6, 1, False), (1006.6, 1, False), (1006.7, 1, True)):
        now = at
        stage.coordinator.on_receive(Tick(1))
        assert (len(stage.last_words()), stage.outcome.done.is_set()) == (words, done), at


def test_nothing_is_heard_of_whoever_speaks_when_all_is_over() -> None:
    stage = owned()
    stage.coordinator._entered(stage.coordinator._shutdown.finished(0.0, complete=True))
    stage.says("sinks", m.Failed(ElspethError("too late").to_value()))
    assert stage.outcome.error is None
    assert stage.coordinator._shutdown.phase == Phase.CLOSED


def test_what_is_told_to_people_and_to_those_who_call_is_due_every_second() -> None:
    timers = Timers(5.0, 0.0)
    due = []
    for tick in range(1, 31):
        timers.tick()
        due += [(tick, timers.second_due, timers.settling_due)] if timers.second_due or timers.settling_due else []
    assert due == [(10, True, True), (20, True, True), (30, True, True)]
    assert 10 * TICK_SECONDS == 1.0


def test_the_time_a_run_is_driven_is_kept_to_the_millisecond() -> None:
    timers = Timers(5.0, 0.0)
    timers.owned(40.0, 1000.0)
    assert timers.active_seconds(1002.34567) == 42.346


def test_what_outlived_an_earlier_attempt_is_ended_put_on_record_and_said() -> None:
    ended = []

    class Left:
        """A process of an earlier attempt that lives until it is killed."""

        pid = 77

        def kill(self) -> bool:
            ended.append(self.pid)
            return True

        def state(self) -> str:
            return "gone" if ended else "alive"

    stage = owned(leftovers=(Left(),), buried=(66,))
    assert ended == [77]
    assert [(told.pid, told.detail) for told in stage._told() if told.event == "killed_leftover"] == [
        (66, {"signal": "SIGKILL"}), (77, {"signal": "SIGKILL"}),
    ]  # fmt: skip
    assert list(stage.progress.lines) == [
        f"killed process {pid}, left over from an earlier attempt" for pid in (66, 77)
    ]
