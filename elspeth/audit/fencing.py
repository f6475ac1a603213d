"""Who owns a run, asked of the audit database: an attempt that was taken over may change nothing any more."""

from __future__ import annotations

from elspeth.audit.store import database, schema
from elspeth.audit.store.place import Place
from elspeth.errors import ElspethError, TakenOver


def prove_ownership(place: Place, run_id: str, attempt: int) -> None:
    """Raise `TakenOver` unless this attempt is the latest to drive the run, `Temporary` where neither is on record."""
    owner = require_on_record(place, run_id, attempt)
    if owner != attempt:
        raise _taken_over(run_id, owner, attempt)


def require_not_taken_over(place: Place, run_id: str, attempt: int) -> None:
    """Raise `TakenOver` if a later attempt drives the run. An attempt that has not begun yet passes.

    Looks without changing anything, not even the journal mode, which a writer sets when it opens the database.
    """
    owner = _owner(place, run_id)
    if owner is not None and owner > attempt:
        raise _taken_over(run_id, owner, attempt)


def require_on_record(place: Place, run_id: str, attempt: int) -> int:
    """The latest attempt of the run. Raises `Temporary` unless that is this attempt or a later one.

    Asked before anybody opens the database to write, which would create one where there is none.
    """
    owner = _owner(place, run_id)
    if owner is None or owner < attempt:
        what = f"run {run_id}" if owner is None else f"attempt {attempt} of run {run_id}"
        raise database.out_of_place(place, what)
    return owner


def _owner(place: Place, run_id: str) -> int | None:
    """The latest attempt of the run; None where it is not on record here, or there is no database of ours."""
    if not database.exists(place):
        return None
    try:
        return _attempt(place, run_id)
    except ElspethError:
        if database.exists(place):
            raise
        return None  # it went while it was looked at


def _attempt(place: Place, run_id: str) -> int | None:
    with database.translated_errors(place):
        connection = database.open_reader(place)
        try:
            if "runs" not in schema.tables(connection):
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
