"""Who owns a run, asked of the audit database: an attempt that was taken over may change nothing any more."""

from __future__ import annotations

from pathlib import Path

from elspeth.audit.store import database
from elspeth.errors import ElspethError, TakenOver


def prove_ownership(path: Path, run_id: str, attempt: int) -> None:
    """Raise `TakenOver` unless this attempt is the latest to drive the run, `Temporary` where neither is on record."""
    owner = require_on_record(path, run_id, attempt)
    if owner != attempt:
        raise _taken_over(run_id, owner, attempt)


def require_not_taken_over(path: Path, run_id: str, attempt: int) -> None:
    """Raise `TakenOver` if a later attempt drives the run. An attempt that has not begun yet passes.

    Looks without changing anything, not even the journal mode, which a writer sets when it opens the database.
    """
    owner = _owner(path, run_id)
    if owner is not None and owner > attempt:
        raise _taken_over(run_id, owner, attempt)


def require_on_record(path: Path, run_id: str, attempt: int) -> int:
    """The latest attempt of the run. Raises `Temporary` unless that is this attempt or a later one.

    Asked before anybody opens the database to write, which would create one where there is none.
    """
    owner = _owner(path, run_id)
    if owner is None or owner < attempt:
        what = f"run {run_id}" if owner is None else f"attempt {attempt} of run {run_id}"
        raise database.out_of_place(path, what)
    return owner


def _owner(path: Path, run_id: str) -> int | None:
    """The latest attempt of the run; None where it is not on record here, or there is no database of ours."""
    if not path.is_file():
        return None
    try:
        return _attempt(path, run_id)
    except ElspethError:
        if path.is_file():
            raise
        return None  # it went while it was looked at


def _attempt(path: Path, run_id: str) -> int | None:
    with database.translated_errors(path):
        connection = database.open_reader(path)
        try:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'runs'").fetchone():
                return None  # no tables yet, or none of ours: whoever opens it to write finds the words
            found = connection.execute("SELECT attempt FROM runs WHERE run_id = ?", (run_id,)).fetchone()
        finally:
            connection.close()
    return int(found[0]) if found else None


def _taken_over(run_id: str, owner: int, attempt: int) -> TakenOver:
    return TakenOver(
        f"run {run_id} was taken over by attempt {owner}; this is attempt {attempt}",
        next_step=f"elspeth status {run_id}",
    )
