"""What is told to audit survives its restarts, and is not told to one that has not said what it has."""

from __future__ import annotations

from typing import Any

from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.audit_link import AuditLink


class Sent:
    """An outbox that keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def send(self, child: str, *parts: Any) -> None:
        assert child == "audit"
        self.messages.append(m.decode(parts[0]))

    def take(self) -> list[Any]:
        found, self.messages = self.messages, []
        return [message.event.event if isinstance(message, m.RecordEvent) else message for message in found]


def linked() -> tuple[AuditLink, Sent]:
    link, sent = AuditLink(), Sent()
    link.connect(sent)  # type: ignore[arg-type]
    return link, sent


def test_what_happens_before_audit_owns_the_run_is_told_when_it_does() -> None:
    link, sent = linked()
    link.record("audit", "started")
    assert sent.take() == []
    link.owned()
    assert sent.take() == ["started"]


def test_what_a_dead_audit_may_not_have_is_told_to_the_next_in_order_and_once() -> None:
    link, sent = linked()
    link.owned()
    link.record("worker-1", "started")
    link.record_now("workers", "suspect", detail={"row_index": 3}, token=1)
    assert sent.take() == ["started", "suspect"]
    link.lost()
    link.record("audit", "exited")
    assert sent.take() == []
    link.owned()
    assert sent.take() == ["started", "suspect", "exited"]
    link.noted(1)
    link.lost()
    link.owned()
    assert sent.take() == ["exited"]


def test_what_is_committed_is_not_told_again() -> None:
    link, sent = linked()
    link.owned()
    link.record("worker-1", "started")
    link.commit_sent(4)
    link.record("worker-2", "started")
    link.committed(4)
    sent.take()
    link.lost()
    link.owned()
    assert sent.take() == ["started"]


def test_the_last_word_and_heartbeats_are_no_events() -> None:
    link, sent = linked()
    link.owned()
    link.heartbeat(3)
    link.end(m.EndAttempt("interrupted", "stopped by SIGINT"))
    assert sent.take() == [m.Heartbeat(3), m.EndAttempt("interrupted", "stopped by SIGINT")]
