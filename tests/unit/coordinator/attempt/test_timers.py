"""What is due when: nothing early, nothing twice, and the time of earlier attempts counts."""

from __future__ import annotations

from elspeth.coordinator.attempt.timers import HEARTBEAT_TICKS, Timers


def test_a_heartbeat_is_due_every_so_many_ticks_and_is_numbered() -> None:
    timers = Timers(5.0, 0.0)
    told = [timers.tick() for _ in range(2 * HEARTBEAT_TICKS)]
    assert [number for number in told if number is not None] == [1, 2]
    assert told[HEARTBEAT_TICKS - 1] == 1


def test_a_commit_is_overdue_when_the_last_one_is_too_long_ago() -> None:
    timers = Timers(5.0, 100.0)
    assert not timers.commit_overdue(105.0)
    assert timers.commit_overdue(105.1)
    timers.committed(105.1)
    assert not timers.commit_overdue(110.0)


def test_the_age_of_what_waits_counts_the_time_of_earlier_attempts_and_not_the_time_between() -> None:
    timers = Timers(5.0, 0.0)
    timers.owned(40.0, 1000.0)
    timers.stage_due(1, 42.5)
    assert not timers.timeout_due(1002.4)
    assert timers.timeout_due(1002.5)


def test_a_time_out_is_told_once_until_the_stage_names_its_next() -> None:
    timers = Timers(5.0, 0.0)
    timers.stage_due(1, 1.0)
    timers.stage_due(2, 2.0)
    assert timers.timeout_due(2.0)
    assert not timers.timeout_due(3.0)
    timers.stage_due(2, 4.0)
    assert timers.timeout_due(4.0)


def test_a_stage_in_which_nothing_waits_any_more_is_due_never() -> None:
    timers = Timers(5.0, 0.0)
    timers.stage_due(1, 1.0)
    assert timers.holding
    timers.stage_due(1, None)
    assert not timers.holding
    assert not timers.timeout_due(99.0)
