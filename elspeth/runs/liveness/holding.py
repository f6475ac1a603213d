"""Takes the lock of an attempt, whatever the audit database is, and says where what lies beside it is kept."""

from __future__ import annotations

import os
from pathlib import Path

from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.audit.store.postgres import lock_sessions
from elspeth.errors import Temporary
from elspeth.runs.liveness import locks
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.locks import AttemptLock
from elspeth.runs.liveness.session_lock import SessionLock

HeldLock = AttemptLock | SessionLock


def lock_folder(database: Place, state: Path) -> Path:
    """Where lock files lie, and marks of what is in hand: `locks` beside a database that is a file, and else in the
    run's `state` folder, for each database of its own. Absolute.

    Raises what `lock_sessions.facts` does: of a server it is asked which database it is.
    """
    if isinstance(database, PostgresPlace):
        return Path(os.path.realpath(state)) / "locks" / f"postgresql-{lock_sessions.facts(database).digest}"
    return locks.lock_path(database, "", 0).parent


def file_of(database: Place, state: Path, run_id: str, attempt: int) -> Path:
    """Where the lock file of an attempt lies; with PostgreSQL, where it would, and marks do."""
    return lock_folder(database, state) / f"{run_id}.{attempt}.lock"


def hold(database: Place, state: Path, run_id: str, attempt: int, *, keeps_files: bool = False) -> HeldLock:
    """Take the lock of this attempt, without waiting for a holder.

    With PostgreSQL that is a session; a lock file is made besides, for what lies in the state folder of this machine,
    and is done without where it cannot be made unless the attempt `keeps_files` there. Raises as the two kinds do.
    """
    path = file_of(database, state, run_id, attempt)
    if not isinstance(database, PostgresPlace):
        return AttemptLock.acquire(current(path))
    held = SessionLock.acquire(database, run_id, attempt, path)
    try:
        held.local = AttemptLock.acquire(current(path))
    except Temporary:
        if keeps_files:
            held.release()
            raise
    except BaseException:
        held.release()
        raise
    return held
