"""What audit may not have is kept, and nothing longer than that."""

from __future__ import annotations

from elspeth.coordinator.attempt.event_outbox import EventOutbox


def numbers(event_outbox: EventOutbox) -> list[int]:
    return [message.event.number for message in event_outbox.unsaved()]


def test_events_are_numbered_and_say_what_happened() -> None:
    message = EventOutbox().add("worker-1", "exited", pid=7, detail={"signal": "SIGKILL"}, token=3)
    event = message.event
    assert (event.number, event.child, event.event, event.pid) == (1, "worker-1", "exited", 7)
    assert event.detail == {"signal": "SIGKILL"}
    assert message.token == 3


def test_a_commit_saves_what_was_sent_before_it_and_nothing_else() -> None:
    event_outbox = EventOutbox()
    event_outbox.add("a", "started")
    event_outbox.sent_with(5)
    event_outbox.add("b", "started")
    event_outbox.committed(5)
    assert numbers(event_outbox) == [2]


def test_a_commit_that_is_sent_again_takes_along_what_happened_meanwhile() -> None:
    event_outbox = EventOutbox()
    event_outbox.add("a", "started")
    event_outbox.sent_with(5)
    event_outbox.add("audit", "exited")
    event_outbox.sent_with(5)
    event_outbox.committed(5)
    assert numbers(event_outbox) == []


def test_a_commit_of_which_nothing_is_known_saves_nothing() -> None:
    event_outbox = EventOutbox()
    event_outbox.add("a", "started")
    event_outbox.committed(9)
    assert numbers(event_outbox) == [1]


def test_a_noted_token_saves_everything_up_to_it_and_may_come_twice() -> None:
    event_outbox = EventOutbox()
    event_outbox.add("a", "started")
    event_outbox.add("workers", "suspect", token=1)
    event_outbox.add("b", "started")
    for _ in range(2):
        event_outbox.noted(1)
        assert numbers(event_outbox) == [3]
