"""What the coordinator does when something gives out for good: who writes the last word, and how it ends."""

from __future__ import annotations

import pytest

from actors import Tick
from actors.child import EXIT_SOFTWARE
from elspeth.coordinator import coordinator
from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.shutdown import Phase
from elspeth.coordinator.suspicion.caution import Caution
from elspeth.errors import ElspethError, TakenOver, Temporary
from tests.unit.coordinator.stage import CHECKPOINT, Stage, down


@pytest.fixture
def stage() -> Stage:
    return Stage()


def test_everybody_is_started_once_audit_owns_the_run(stage: Stage) -> None:
    assert stage.started == ["Audit"]
    stage.owned()
    assert stage.started == ["Audit", "Sinks", "Worker", "Source"]
    assert not stage.outcome.done.is_set()


def test_audit_that_was_given_up_is_started_once_more_for_the_last_word(stage: Stage) -> None:
    stage.owned()
    stage.gives_up("audit")
    assert stage.started[-1] == "Successor"
    assert not stage.outcome.done.is_set()
    before = len(stage.last_words())
    stage.says("audit", m.Owned(CHECKPOINT))
    [(name, word)] = stage.last_words()[before:]
    assert name == "audit"
    assert isinstance(word, m.EndAttempt)
    assert word.status == "failed"
    assert word.failure is not None
    assert stage.coordinator._shutdown.phase == Phase.CLOSING
    stage.says("audit", m.AttemptEnded())
    assert stage.outcome.done.is_set()
    assert "restart intensity exceeded" in str(stage.outcome.error)
    assert stage.started.count("Successor") == 1


def test_audit_that_dies_over_the_last_word_too_leaves_it_unwritten(stage: Stage) -> None:
    stage.owned()
    stage.gives_up("audit")
    stage.coordinator.on_receive(down("audit"))
    assert stage.outcome.done.is_set()
    assert "restart intensity exceeded" in str(stage.outcome.error)


@pytest.mark.parametrize("name", ["sinks", "source", "worker-1"])
def test_whoever_else_is_given_up_audit_writes_the_last_word_and_is_not_started_again(name: str, stage: Stage) -> None:
    stage.owned()
    stage.gives_up(name)
    assert "Successor" not in stage.started
    [(to, word)] = stage.last_words()
    assert to == "audit"
    assert isinstance(word, m.EndAttempt)
    assert (word.status, word.closed) == ("failed", False)
    stage.says("audit", m.AttemptEnded())
    assert stage.outcome.done.is_set()


def test_audit_that_is_given_up_before_it_owned_the_run_has_nothing_to_write(stage: Stage) -> None:
    stage.gives_up("audit")
    assert stage.started == ["Audit"]
    assert stage.outcome.done.is_set()
    assert stage.last_words() == []


def test_a_death_while_the_last_word_is_written_starts_nobody(stage: Stage) -> None:
    stage.owned()
    stage.gives_up("sinks")
    stage.restarted.clear()
    stage.coordinator.on_receive(down("worker-1"))
    stage.coordinator.on_receive(down("source"))
    assert stage.restarted == []
    assert not stage.outcome.done.is_set()


def test_a_failure_of_audit_itself_is_the_end_and_nobody_is_asked_to_write_it(stage: Stage) -> None:
    stage.owned()
    stage.says("audit", m.Failed(TakenOver("attempt 2 drives the run").to_value()))
    assert stage.outcome.done.is_set()
    assert isinstance(stage.outcome.error, TakenOver)
    assert stage.last_words() == []


def test_what_a_resume_may_cure_ends_interrupted(stage: Stage) -> None:
    stage.owned()
    stage.says("sinks", m.Failed(Temporary("the disk is full").to_value()))
    [(_, word)] = stage.last_words()
    assert isinstance(word, m.EndAttempt)
    assert (word.status, word.failure) == ("interrupted", "the disk is full")


def test_a_child_that_fails_when_its_work_was_done_is_no_run_that_went_well(stage: Stage) -> None:
    stage.owned()
    stage.coordinator._entered(stage.coordinator._shutdown.finished(0.0, complete=True))
    assert stage.outcome.done.is_set()
    assert stage.outcome.error is None
    stage.coordinator.on_receive(down("source", exit_code=0))
    assert stage.outcome.error is None
    stage.coordinator.on_receive(down("sinks", exit_code=EXIT_SOFTWARE))
    assert stage.outcome.error is not None
    assert "sinks (pid 4242) ended with an exception when its work was done" in stage.outcome.error.message


def test_a_mistake_of_ours_ends_the_attempt_and_says_so(stage: Stage) -> None:
    stage.owned()
    stage.coordinator.on_failure(KeyError, KeyError("x"), None)
    assert stage.outcome.done.is_set()
    assert isinstance(stage.outcome.error, ElspethError)
    assert "internal error: KeyError('x')" in str(stage.outcome.error)


def test_while_rows_go_one_at_a_time_it_is_said_how_long_they_will(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(caution=Caution(4000))
    stage.owned()
    for now, done in ((1000.0, 0), (1010.0, 1000)):
        monkeypatch.setattr(coordinator.time, "monotonic", lambda now=now: now)
        stage.progress.rows_done = done
        stage.coordinator.on_receive(Tick(1))
    assert "one at a time, 100 rows a second: the 3,000 left take about 30 s" in stage.progress.lines
