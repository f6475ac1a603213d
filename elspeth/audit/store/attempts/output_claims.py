"""Which files unfinished runs write: of two that start at the same time, the second is refused as it starts."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import orjson

from elspeth.audit.connection import Connection
from elspeth.audit.dialect import json_field
from elspeth.coordinator.checkpoint import SINKS
from elspeth.errors import RunInProgress
from elspeth.outputs import sink_states

_UNFINISHED = """
SELECT r.run_id, {sinks}, a.pid, a.host, a.started_at
FROM runs r
     JOIN run_attempts a ON a.run_id = r.run_id AND a.attempt = r.attempt
     JOIN checkpoints c ON c.checkpoint_id = r.run_id || '#000000000'
WHERE r.completed_at IS NULL AND r.superseded_by IS NULL AND r.status <> 'completed'
"""


def require_unused(connection: Connection, checkpoint: str, given_up: Collection[str]) -> None:
    """Raise `RunInProgress` if an unfinished run writes one of the files of this first checkpoint (JSON).

    `given_up` are runs that end in the same transaction. Called inside of it: whoever comes second sees the first.
    """
    mine = _files(orjson.loads(checkpoint).get(SINKS))
    if not mine:
        return
    unfinished = _UNFINISHED.format(sinks=json_field(connection, "c.message", SINKS))
    for run_id, sinks, pid, host, at in connection.execute(unfinished):
        if run_id not in given_up and (both := mine & _files(orjson.loads(sinks or "null"))):
            raise RunInProgress(
                f"Run already in progress: run {run_id} writes {min(both)}, too, and began first",
                details=[f"process {pid} on {host}, since {at}"],
                next_step=f"elspeth status {run_id}",
            )


def _files(sinks: Any) -> set[str]:
    """The files behind the outputs of a checkpoint; of its sinks only those have any that say so."""
    states = sink_states(sinks) if sinks else {}
    return {state.output.resolved for state in states.values() if state.output.resolved is not None}
