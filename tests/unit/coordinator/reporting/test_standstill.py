"""What is waited for, found out of what children touch and providers ask for; said after ten silent seconds."""

from __future__ import annotations

from elspeth.coordinator.reporting.standstill import (
    AFTER_SECONDS,
    AGAIN_SECONDS,
    Hand,
    Held,
    Standstill,
    in_hand,
    sentence,
)
from elspeth.coordinator.reporting.standstill import waited_for as what

STEPS = {1: "clean", 3: "ask_model"}


def test_a_worker_is_named_with_its_row_its_step_and_when_it_is_taken_for_hung() -> None:
    hands = in_hand({"worker-1": (500, 3), "audit": (-1, 0), "source": (7, 0)}, {"worker-1"}, STEPS)
    assert sentence(14.2, what(hands, [], 300.0, reading=False)) == (
        "no row finished for 14 s: worker-1 is at row 500 in ask_model (limit 300 s)"
    )


def test_a_worker_without_work_is_not_named_and_one_with_several_rows_in_hand_without_a_row() -> None:
    touching = {"worker-1": (7, 1), "worker-2": (-1, 0), "worker-3": (-1, 0)}
    assert in_hand(touching, {"worker-2"}, STEPS) == [Hand("worker-2")]
    assert what([Hand("worker-2")], [], None, reading=False) == "worker-2 is at work"


def test_sinks_and_stages_that_touch_something_are_at_work() -> None:
    assert in_hand({"sinks": (4, 2), "stage-1": (0, 9)}, set(), STEPS) == [Hand("sinks"), Hand("stage-1")]


def test_a_provider_says_why_and_how_long() -> None:
    assert what([], [Held("main", "paused", 12.3)], 300.0, reading=False) == "waiting for provider main: 429, 12 s"
    both = what([Hand("worker-1", 5, "ask_model")], [Held("main", "requests", 0.2)], 300.0, reading=False)
    assert both == (
        "waiting for provider main: its requests per minute are used up;"
        " worker-1 is at row 5 in ask_model (limit 300 s)"
    )


def test_many_workers_are_counted() -> None:
    found = what([Hand(f"worker-{number}", number, "s") for number in range(9)], [], 60.0, reading=False)
    assert found.endswith("worker-2 is at row 2 in s, 6 more are at work (limit 60 s)")


def test_where_nobody_is_at_work_it_is_the_source_or_what_is_written() -> None:
    assert what([], [], 300.0, reading=True) == "the source has given no row"
    assert "audit database" in what([], [], 300.0, reading=False)


def test_ten_seconds_without_a_commit_are_something_to_speak_of_and_a_commit_ends_them() -> None:
    stands = Standstill(0.0)
    assert stands.seconds(5, 1.0) is None
    assert stands.seconds(5, 1.0 + AFTER_SECONDS - 0.1) is None
    assert stands.seconds(5, 1.0 + AFTER_SECONDS) == AFTER_SECONDS
    assert stands.seconds(6, 30.0) is None
    assert stands.seconds(6, 45.0) == 15.0


def test_the_same_is_put_on_record_once_and_another_thing_not_at_once() -> None:
    stands = Standstill(0.0)
    stands.seconds(5, 0.0)
    assert stands.news("a", 10.0)
    assert not stands.news("a", 10.0 + 10 * AGAIN_SECONDS)
    assert stands.news("b", 11.0 + AGAIN_SECONDS)
    assert not stands.news("c", 12.0 + AGAIN_SECONDS)
    stands.seconds(6, 50.0)
    assert stands.news("b", 60.0), "after a commit it is another standstill"


def test_what_is_waited_for_is_told_to_the_letter_at_its_edges() -> None:
    """Three are named and no more; whole seconds are said, and less than one is not."""
    three = [Hand(f"worker-{number}", number, "s") for number in range(3)]
    assert "more" not in what(three, [], None, reading=False)
    assert what([*three, Hand("sinks")], [], None, reading=False).endswith(
        "worker-2 is at row 2 in s, 1 more are at work"
    )
    assert str(Held("main", "down", 1.0)) == "waiting for provider main: does not answer, 1 s"
    assert str(Held("main", "down", 0.9)) == "waiting for provider main: does not answer"
    assert str(Hand("worker-1", 0)) == "worker-1 is at row 0"
    assert in_hand({"worker-1": (0, 7), "sinks": (0, 0)}, {"worker-1"}, STEPS) == [Hand("worker-1", 0), Hand("sinks")]
    assert in_hand({"source": (3, 0), "sinks": (-1, 0)}, set(), STEPS) == []


def test_another_thing_is_news_after_half_a_minute_to_the_second() -> None:
    stands = Standstill(0.0)
    assert stands.news("a", 10.0)
    assert not stands.news("b", 10.0 + AGAIN_SECONDS - 0.1)
    assert stands.news("b", 10.0 + AGAIN_SECONDS)
    assert (AFTER_SECONDS, AGAIN_SECONDS) == (10.0, 30.0)
