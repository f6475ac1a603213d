"""What happened to the tree in this attempt, numbered, and kept until it is known to be committed."""

from __future__ import annotations

from elspeth.canonical import JsonObject
from elspeth.clock import utc_now
from elspeth.concealment import NOTHING, Concealment
from elspeth.coordinator.protocol import RecordEvent, SupervisionEvent


class EventOutbox:
    """Events on their way to the audit role. After a restart of audit those that may be lost are sent again; their
    numbers make each count once."""

    def __init__(self, concealment: Concealment = NOTHING) -> None:
        self._concealment = concealment
        self._number = 0
        self._unsaved: list[RecordEvent] = []
        self._commits: dict[int, int] = {}  # micro-batch of a commit -> number of the last event sent before it

    def add(
        self,
        child: str,
        event: str,
        *,
        pid: int | None = None,
        detail: JsonObject | None = None,
        token: int | None = None,
    ) -> RecordEvent:
        """Something happened to a child; answers the message that says so."""
        self._number += 1
        detail = self._concealment.value(detail)
        message = RecordEvent(SupervisionEvent(self._number, child, event, pid, detail, utc_now()), token)
        self._unsaved.append(message)
        return message

    def unsaved(self) -> list[RecordEvent]:
        """What audit may not have committed, in order."""
        return list(self._unsaved)

    def sent_with(self, no: int) -> None:
        """The commit of micro-batch `no` is sent: it takes along all events up to now."""
        self._commits[no] = self._number

    def committed(self, no: int) -> None:
        """The commit of micro-batch `no` has happened."""
        number = self._commits.get(no, 0)
        self._commits = {micro_batch: last for micro_batch, last in self._commits.items() if micro_batch > no}
        self._unsaved = [message for message in self._unsaved if message.event.number > number]

    def noted(self, token: int) -> None:
        """Everything up to the event with this token is committed."""
        for at, message in enumerate(self._unsaved):
            if message.token == token:
                del self._unsaved[: at + 1]
                return
