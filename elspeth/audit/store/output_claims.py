"""Which files unfinished runs write: of two that start at the same time, the second is refused as it starts."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

import orjson

from elspeth.errors import RunInProgress
from elspeth.outputs import sink_states

_UNFINISHED = """
SELECT r.run_id, json_extract(c.message, '$.sinks'), a.pid, a.host, a.started_at
FROM runs r
     JOIN run_attempts a ON a.run_id = r.run_id AND a.attempt = r.attempt
     JOIN checkpoints c ON c.checkpoint_id = r.run_id || '#000000000'
WHERE r.completed_at IS NULL AND r.superseded_by IS NULL AND r.status <> 'completed'
"""


def require_unused(connection: sqlite3.Connection, checkpoint: str, given_up: Collection[str]) -> None:
    """Raise `RunInProgress` if an unfinished run writes one of the files of this first checkpoint (JSON).

    `given_up` are runs that end in the same transaction. Called inside of it: whoever comes second sees the first.
    """
    (sinks,) = connection.execute("SELECT json_extract(?, '$.sinks')", (checkpoint,)).fetchone()
    mine = _files(sinks)
    if not mine:
        return
    for run_id, sinks, pid, host, at in connection.execute(_UNFINISHED):
        if run_id not in given_up and (both := mine & _files(sinks)):
            raise RunInProgress(
                f"Run already in progress: run {run_id} writes {min(both)}, too, and began first",
                details=[f"process {pid} on {host}, since {at}"],
                next_step=f"elspeth status {run_id}",
            )


def _files(sinks: str | None) -> set[str]:
    """The files behind the outputs of a checkpoint; of its sinks only those have any that say so."""
    states = sink_states(orjson.loads(sinks)) if sinks else {}
    return {state.output.resolved for state in states.values() if state.output.resolved is not None}
