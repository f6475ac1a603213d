"""Changes of a run's state as chained events: the mutable columns of `runs` and `run_attempts` are their projection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from elspeth import canonical, ids
from elspeth.audit.chain.records import Record, Records

RUN_STATE = ("status", "completed_at", "attempt", "superseded_by", "failure")
"""The columns of `runs` that change."""

ATTEMPT_STATE = ("ended_at", "end_reason")
"""The columns of `run_attempts` that change, the heartbeat aside."""

StateChanges = dict[str, dict[str, Any]]
"""`{"runs": {column: value}, "attempts": {attempt number as text: {column: value}}}`"""


def event(run_id: str, attempt: int, what: str, at: str, changes: StateChanges, **facts: Any) -> Record:
    """The `supervision_events` record that says: at this time, this happened to the run, and these columns changed."""
    detail = canonical.to_text({**facts, "changes": changes})
    return (ids.event_id(run_id, attempt, what), attempt, None, what, None, detail, at)


def changes_of(detail: str | None) -> StateChanges | None:
    """The changes that an event's detail holds, None if it is no such event."""
    if not isinstance(detail, str):
        return None
    try:
        value = canonical.from_text(detail)
    except ValueError:
        return None
    found = value.get("changes") if isinstance(value, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else None


def apply(changes: StateChanges, run: dict[str, Any], attempts: dict[int, dict[str, Any]]) -> None:
    """Carry changes out on the mutable columns of a run and of its attempts, as far as those exist."""
    run.update(changes.get("runs", {}))
    for number, columns in changes.get("attempts", {}).items():
        attempts.setdefault(int(number), {}).update(columns)


def opened(attempt: int) -> dict[str, dict[str, Any]]:
    """The changes of attempts by which this one is open."""
    return {str(attempt): {"ended_at": None, "end_reason": None}}


def ended(attempt: int, at: str, status: Mapping[str, Any]) -> StateChanges:
    """The changes by which an attempt ends, and the run with it: columns of `runs` and `end_reason`."""
    run = {column: value for column, value in status.items() if column != "end_reason"}
    reason = status.get("end_reason") or status["status"]
    return {"runs": run, "attempts": {str(attempt): {"ended_at": at, "end_reason": reason}}}


def with_event(records: Records, event: Record) -> Records:
    """The records of a commit and this event among them."""
    return {**records, "supervision_events": [*records.get("supervision_events", ()), event]}
