from __future__ import annotations

from dataclasses import replace

from actors.hang_detector import HangDetector, Vitals

BUSY = Vitals(progress=(1, 1), has_work=True)


def verdicts(health: HangDetector, *signs: Vitals) -> list[str]:
    return [health.look(vitals) for vitals in signs]


def test_a_busy_child_without_progress_is_hung_after_the_limit() -> None:
    assert verdicts(HangDetector(3), *[BUSY] * 4) == ["fine", "fine", "nearly", "hung"]


def test_any_progress_starts_the_count_anew() -> None:
    moved = replace(BUSY, progress=(2, 1))
    assert verdicts(HangDetector(2), BUSY, BUSY, moved, moved, moved) == ["fine", "nearly", "fine", "nearly", "hung"]


def test_a_child_with_nothing_to_do_may_be_silent() -> None:
    idle = replace(BUSY, has_work=False)
    assert set(verdicts(HangDetector(2), *[idle] * 10)) == {"fine"}


def test_silence_before_the_work_came_does_not_count() -> None:
    idle = replace(BUSY, has_work=False)
    assert verdicts(HangDetector(2), idle, idle, idle, BUSY, BUSY) == ["fine", "fine", "fine", "nearly", "hung"]


def test_a_child_that_waits_for_the_world_may_be_silent() -> None:
    assert set(verdicts(HangDetector(2), *[replace(BUSY, waiting=True)] * 10)) == {"fine"}


def test_a_waiting_child_that_is_stopped_is_hung() -> None:
    assert verdicts(HangDetector(2), *[replace(BUSY, waiting=True, stopped=True)] * 3)[-1] == "hung"


def test_a_waiting_child_that_burns_cpu_is_hung() -> None:
    assert verdicts(HangDetector(2), *[replace(BUSY, waiting=True, burning=True)] * 3)[-1] == "hung"


def test_an_endless_loop_that_gets_the_cpu_only_now_and_then_is_found() -> None:
    waiting, burning = replace(BUSY, waiting=True), replace(BUSY, waiting=True, burning=True)
    signs = [waiting, burning, waiting, waiting, burning]
    assert verdicts(HangDetector(2), *signs) == ["fine", "nearly", "nearly", "nearly", "hung"]


def test_one_look_is_never_enough_however_late_it_comes() -> None:
    assert verdicts(HangDetector(0), BUSY, BUSY) == ["fine", "nearly"]
