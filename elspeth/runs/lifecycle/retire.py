"""What is left of attempts that ended for good, and goes: their lock files."""

from __future__ import annotations

import contextlib
from pathlib import Path

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place
from elspeth.errors import ElspethError
from elspeth.runs.liveness.holding import HeldLock, file_of
from elspeth.runs.liveness.locks import sweep
from elspeth.runs.liveness.run_assessment import resumable


def retire(lock: HeldLock, database: Place, state: Path) -> None:
    """The run is complete: delete its lock, and those of all runs in this database that nothing can need.

    Needed is the lock of the latest attempt of a run that can be resumed: it tells at once that this attempt is dead.
    One that is held stays, whatever its run: so nothing is taken from an attempt that is just beginning, or frozen.
    Locks of other databases lie in the same folder; they are none of ours. With PostgreSQL the files lie in the `state`
    folder, and those of other machines in theirs.
    """
    with contextlib.suppress(
        ElspethError
    ):  # a database that cannot be read now: the next run that completes will do it
        with AuditReader(database) as reader:
            runs = reader.runs()
        needed = {file_of(database, state, run.run_id, run.attempt).name for run in runs if resumable(run)}
        ours = {run.run_id for run in runs}
        lock.discard()
        files = sorted(lock.path.parent.glob("*.lock"))
        sweep(file for file in files if file.name not in needed and file.name.split(".")[0] in ours)
