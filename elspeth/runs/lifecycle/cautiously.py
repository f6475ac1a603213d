"""How carefully a resume begins: as ever, or, after two attempts that died at one place, row by row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path

from actors.identity import here
from elspeth.audit.query.values import Attempt, CheckpointRecord, EventRecord
from elspeth.audit.store.attempts.caution_events import CAUTION
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution
from elspeth.runs.liveness.row_mark import Marked, read_mark


def found_in_hand(attempt: Attempt, lock_file: Path | None) -> Marked | None:
    """The row that this attempt, the latest, had marked as the only one in hand when it died, if it did.

    `lock_file` is where its lock file lies, or would lie if it had one. A mark that is not there, because it lies on
    another machine perhaps, is as good as one that a power cut took: the rows are then suspected without it.
    """
    if not _died(attempt) or lock_file is None:
        return None
    return read_mark(lock_file, attempt.run_id, attempt.attempt)


def caution_after(
    attempts: Sequence[Attempt],
    events: Sequence[EventRecord],
    checkpoint: CheckpointRecord | None,
    *,
    ran_out: AbstractSet[int],
    marked: Marked | None,
    rows: int,
    committed: int = 0,
) -> Caution:
    """What caution the attempt after these begins with. `rows` is how many can have been in flight
    behind the first `committed`.

    `ran_out` are the attempts during which memory ran out: no row did that. `marked` is what the last one had in hand.

    Rows are marked, unless that has been of no use: the machine went down with the attempt, or the attempt marked its
    rows and died between two of them, of a flush perhaps.
    """
    last = attempts[-1]
    if marked is not None and marked.given_out is not None and checkpoint is not None:
        rows = min(rows, max(1, marked.given_out - committed))  # what nobody had been given has killed nothing
    at_one_place = (
        len(attempts) > 1
        and all(_died(attempt) for attempt in attempts[-2:])
        and checkpoint is not None
        and checkpoint.attempt < last.attempt
    )
    if not at_one_place or ran_out & {attempt.attempt for attempt in attempts[-2:]}:
        return NO_CAUTION
    begun = [event for event in events if event.event == CAUTION and event.attempt == last.attempt]
    if last.boot_id != here()[0]:
        return Caution(rows, recorded=True)
    if not begun:
        return Caution(rows)
    useless = marked is None or (marked.begun and not (marked.row_index is not None or marked.held or marked.many))
    return Caution(rows, recorded=useless or bool(json.loads(begun[-1].detail or "{}").get("recorded")))


def _died(attempt: Attempt) -> bool:
    """Whether it never said how it ended itself."""
    return attempt.end_reason is None or attempt.end_reason.startswith(("taken over", "fix by"))
