"""Who owns a run, asked of the audit database: an attempt that was taken over may change nothing any more."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from elspeth.audit.store import database
from elspeth.errors import TakenOver


def prove_ownership(path: Path, run_id: str, attempt: int) -> None:
    """Raise `TakenOver` unless this attempt is the latest to drive the run."""
    with database.worded(path):
        connection = database.open_reader(path)
        try:
            row = connection.execute("SELECT attempt FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        finally:
            connection.close()
    if row is None or row[0] != attempt:
        raise _taken_over(run_id, row[0] if row else "none", attempt)


def require_not_taken_over(path: Path, run_id: str, attempt: int) -> None:
    """Raise `TakenOver` if a later attempt drives the run. An attempt that has not begun yet passes.

    Looks without changing anything, not even the journal mode, which a writer sets when it opens the database.
    """
    if not path.is_file():
        return
    with database.worded(path):
        connection = database.open_reader(path)
        try:
            row = connection.execute("SELECT attempt FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        except sqlite3.OperationalError:
            return  # no tables yet, or none of ours: whoever opens it to write finds the words
        finally:
            connection.close()
    if row is not None and row[0] > attempt:
        raise _taken_over(run_id, row[0], attempt)


def _taken_over(run_id: str, owner: object, attempt: int) -> TakenOver:
    return TakenOver(
        f"run {run_id} was taken over by attempt {owner}; this is attempt {attempt}",
        next_step=f"elspeth status {run_id}",
    )
