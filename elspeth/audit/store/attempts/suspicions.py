"""Which rows are suspected of having killed processes of earlier attempts, from what those attempts left on record."""

from __future__ import annotations

from elspeth import canonical
from elspeth.audit.connection import Connection
from elspeth.audit.store.attempts import memory_marks
from elspeth.audit.store.attempts.caution_events import IN_HAND
from elspeth.canonical import JsonObject


def suspects(connection: Connection, run_id: str, rows: int) -> dict[int, int]:
    """Rows behind the first `rows` that were suspected, with the deaths they are known to have seen alone.

    Each suspicion is recorded with the deaths before it in its attempt. The last one of an attempt that died was open
    then, and counts as one more; those before it had been survived, or went on record with their own deaths. But where
    the next attempt found a row marked as the one in hand, it is that one that died with it.
    What memory had to do with is dropped: how much of it there is is no property of a row.
    """
    marks = dict(_details(connection, run_id, memory_marks.EVENT))
    now = memory_marks.mark()
    in_hand = {
        found["attempt"]: found.get("row_index")  # None: it died with a batch, or with what came of one
        for _, found in _details(connection, run_id, IN_HAND)
        if not memory_marks.ran_out(marks, found["attempt"], now)
    }
    found = connection.execute(
        "SELECT e.attempt, e.detail, a.ended_at IS NULL OR a.end_reason LIKE 'taken over%'"
        " FROM supervision_events e"
        " JOIN run_attempts a ON a.run_id = e.run_id AND a.attempt = e.attempt"
        " WHERE e.run_id = ? AND e.event = 'suspect' ORDER BY e.event_id",
        (run_id,),
    ).fetchall()
    deaths: dict[tuple[int, int], int] = {}
    for place, (attempt, detail, died) in enumerate(found):
        facts = canonical.from_text(detail)
        last = died and (place + 1 == len(found) or found[place + 1][0] != attempt)
        if facts.get("memory") or (last and memory_marks.ran_out(marks, attempt, now)):
            continue
        key = facts["row_index"], attempt
        deaths[key] = max(deaths.get(key, 0), facts["deaths"] + (1 if last and attempt not in in_hand else 0))
    for attempt, row in in_hand.items():
        if row is None:
            continue
        deaths[row, attempt] = deaths.get((row, attempt), 0) + 1
    total: dict[int, int] = {}
    for (row, _), count in deaths.items():
        if row >= rows and count:
            total[row] = total.get(row, 0) + count
    return total


def _details(connection: Connection, run_id: str, event: str) -> list[tuple[int, JsonObject]]:
    found = connection.execute(
        "SELECT attempt, detail FROM supervision_events WHERE run_id = ? AND event = ?", (run_id, event)
    )
    return [(attempt, canonical.from_text(detail)) for attempt, detail in found]
