"""Which files unfinished runs write: of two that start at the same time, the second is refused as it starts."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from elspeth.errors import RunInProgress

_CLAIMED = """
SELECT r.run_id, mine.value, a.pid, a.host, a.started_at
FROM json_tree(?, '$.sinks') mine,
     runs r
     JOIN run_attempts a ON a.run_id = r.run_id AND a.attempt = r.attempt
     JOIN checkpoints c ON c.checkpoint_id = r.run_id || '#000000000',
     json_tree(c.message, '$.sinks') theirs
WHERE r.completed_at IS NULL AND r.superseded_by IS NULL AND r.status <> 'completed'
  AND mine.key = 'resolved' AND theirs.key = 'resolved' AND theirs.value = mine.value
"""


def require_unused(connection: sqlite3.Connection, checkpoint: str, given_up: Collection[str]) -> None:
    """Raise `RunInProgress` if an unfinished run writes one of the files of this first checkpoint (JSON).

    `given_up` are runs that end in the same transaction. Called inside of it: whoever comes second sees the first.
    """
    for run_id, output, pid, host, at in connection.execute(_CLAIMED, (checkpoint,)).fetchall():
        if run_id not in given_up:
            raise RunInProgress(
                f"Run already in progress: run {run_id} writes {output}, too, and began first",
                details=[f"process {pid} on {host}, since {at}"],
                next_step=f"elspeth status {run_id}",
            )
