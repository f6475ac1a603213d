"""What audit may not have is kept, and nothing longer than that."""

from __future__ import annotations

from elspeth.coordinator.event_outbox import Chronicle


def numbers(chronicle: Chronicle) -> list[int]:
    return [message.events[0]["number"] for message in chronicle.unsaved()]


def test_events_are_numbered_and_say_what_happened() -> None:
    message = Chronicle().add("worker-1", "exited", pid=7, detail={"signal": "SIGKILL"}, token=3)
    (event,) = message.events
    assert (event["number"], event["child"], event["event"], event["pid"]) == (1, "worker-1", "exited", 7)
    assert event["detail"] == {"signal": "SIGKILL"}
    assert message.token == 3


def test_a_commit_saves_what_was_sent_before_it_and_nothing_else() -> None:
    chronicle = Chronicle()
    chronicle.add("a", "started")
    chronicle.sent_with(5)
    chronicle.add("b", "started")
    chronicle.committed(5)
    assert numbers(chronicle) == [2]


def test_a_commit_that_is_sent_again_takes_along_what_happened_meanwhile() -> None:
    chronicle = Chronicle()
    chronicle.add("a", "started")
    chronicle.sent_with(5)
    chronicle.add("audit", "exited")
    chronicle.sent_with(5)
    chronicle.committed(5)
    assert numbers(chronicle) == []


def test_a_commit_of_which_nothing_is_known_saves_nothing() -> None:
    chronicle = Chronicle()
    chronicle.add("a", "started")
    chronicle.committed(9)
    assert numbers(chronicle) == [1]


def test_a_noted_token_saves_everything_up_to_it_and_may_come_twice() -> None:
    chronicle = Chronicle()
    chronicle.add("a", "started")
    chronicle.add("workers", "suspect", token=1)
    chronicle.add("b", "started")
    for _ in range(2):
        chronicle.noted(1)
        assert numbers(chronicle) == [3]
