"""What a run that is driven waits for, as its main process put it on record since the last commit of rows."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from elspeth import ids
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.coordinator.reporting.standstill import EVENT, sentence


def waiting(reader: AuditReader, run: Run, now: datetime | None = None) -> str:
    """The sentence, with the seconds until `now`; empty where rows have been committed since, or nobody drives the run.

    The seconds are those of two clocks, where the run is driven on another machine: they are for people.
    """
    if run.status != "running":
        return ""
    found = reader.connection.execute(
        "SELECT detail, at FROM supervision_events WHERE event_id > ? AND event_id < ? AND event = ?"
        " AND commit_no > coalesce((SELECT commit_no FROM rows WHERE row_id >= ? AND row_id < ?"
        " ORDER BY row_id DESC LIMIT 1), 0) ORDER BY event_id DESC LIMIT 1",
        (ids.event_id(run.run_id, run.attempt, 0), ids.event_id(run.run_id, run.attempt, "a"), EVENT,
         run.run_id, f"{run.run_id}~"),
    ).fetchone()  # fmt: skip
    if found is None:
        return ""
    facts = json.loads(found[0])
    since = (now or datetime.now(UTC)) - datetime.fromisoformat(found[1])
    return sentence(facts["seconds"] + max(since.total_seconds(), 0.0), facts["waiting_for"])
