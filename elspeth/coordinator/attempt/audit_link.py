"""What is told to the audit role, whichever of its incarnations listens: nothing is lost, nothing counts twice.

Events are numbered and kept until they are known to be committed (`EventOutbox`). While audit has yet to say what it
has, nothing is sent: when it has said so, all that may be lost is sent again, once.
"""

from __future__ import annotations

from actors.reactor import Outbox
from elspeth.canonical import JsonObject
from elspeth.concealment import NOTHING, Concealment
from elspeth.coordinator import protocol as m
from elspeth.coordinator.attempt.event_outbox import EventOutbox
from elspeth.coordinator.names import AUDIT
from elspeth.coordinator.reporting.observer import Observer


class AuditLink:
    """The way to the audit role of one attempt."""

    def __init__(self, concealment: Concealment = NOTHING, observer: Observer | None = None) -> None:
        self._observer = observer or Observer()
        self._outbox: Outbox | None = None
        self._events = EventOutbox(concealment)
        self._listens = False

    def connect(self, outbox: Outbox) -> None:
        """Frames go out by this box."""
        self._outbox = outbox

    def owned(self) -> None:
        """An audit process has proved that the attempt owns the run, and said what it has."""
        self._listens = True
        for message in self._events.unsaved():
            self._send(message)

    def lost(self) -> None:
        """The audit process is gone."""
        self._listens = False

    def record(self, child: str, event: str, *, pid: int | None = None, detail: JsonObject | None = None) -> None:
        """Something happened to a child: on record with the next commit."""
        self._observer.happened(child, event, pid, detail)
        self._send_event(self._events.add(child, event, pid=pid, detail=detail))

    def record_now(self, child: str, event: str, *, detail: JsonObject, token: int) -> None:
        """Something that must be on record before anything is done about it: audit answers the token."""
        self._send_event(self._events.add(child, event, detail=detail, token=token))

    def commit_sent(self, no: int) -> None:
        """The commit of micro-batch `no` goes out now, and takes all events along that were told before."""
        self._observer.commit_sent(no)
        self._events.sent_with(no)

    def committed(self, no: int) -> None:
        """The commit of micro-batch `no` has happened."""
        self._observer.committed(no)
        self._events.committed(no)

    def noted(self, token: int) -> None:
        """The event with this token is committed, and all before it."""
        self._events.noted(token)

    def heartbeat(self, number: int) -> None:
        """The main process is alive."""
        self._send(m.Heartbeat(number))

    def end(self, last_word: m.EndAttempt) -> None:
        """How the attempt ended."""
        self._send(last_word)

    def _send_event(self, message: m.RecordEvent) -> None:
        if self._listens:
            self._send(message)

    def _send(self, message: m.Message) -> None:
        assert self._outbox is not None
        self._outbox.send(AUDIT, m.encode(message))
