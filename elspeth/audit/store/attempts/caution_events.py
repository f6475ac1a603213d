"""On record of attempts that died at one place: how carefully the next began, and what the last had in hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from elspeth import ids
from elspeth.audit.chain.records import Record
from elspeth.clock import utc_now
from elspeth.coordinator.suspicion.caution import Caution

CAUTION = "caution"
"""The attempt began with so many `rows` one at a time; `recorded` says whether each was put on record first."""

IN_HAND = "in_hand"
"""When the `attempt` before it died, this row (`row_index`) alone was in hand; or, in later stages, the flush of these
`batches`, or these `tokens`, on their way or (`sink`) while they were written."""


def caution_event(run_id: str, attempt: int, caution: Caution) -> Record:
    """How carefully this attempt begins, as a record of `supervision_events`, to be written when it does."""
    return _event(run_id, attempt, CAUTION, {"rows": caution.rows, "recorded": caution.recorded})


def in_hand_event(run_id: str, attempt: int, died: int, row_index: int) -> Record:
    """What the attempt `died` had in hand, as this attempt found it when it began."""
    return _event(run_id, attempt, IN_HAND, {"attempt": died, "row_index": row_index})


def held_event(
    run_id: str, attempt: int, died: int, *, batches: Sequence[tuple[str, str]],
    tokens: Sequence[Mapping[str, str]],
) -> Record:  # fmt: skip
    """The batches, each with its node, and tokens that later stages and sinks of the attempt `died` had in hand."""
    detail: dict[str, object] = {"attempt": died}
    if batches:
        detail["batches"] = [{"batch": batch, "node": node} for batch, node in batches]
    if tokens:
        detail["tokens"] = list(tokens)
    return _event(run_id, attempt, IN_HAND, detail)


def _event(run_id: str, attempt: int, event: str, detail: Mapping[str, object]) -> Record:
    text = json.dumps(detail, separators=(",", ":"))
    return (ids.event_id(run_id, attempt, event), attempt, None, event, None, text, utc_now())
