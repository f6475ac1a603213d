"""Whether and when an audit database of an earlier schema is brought forward, and doing it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import schema
from elspeth.audit.store.database import open_reader, translated_errors
from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.errors import Temporary
from elspeth.runs.liveness.locks import lock_path, probe
from elspeth.runs.liveness.run_assessment import assessments

LIMIT = 1 << 30
"""Bytes of a database that is brought forward on the way; larger ones wait for somebody who has the time for it."""

PATIENCE_SECONDS = 60.0

Notify = Callable[[str], None]


def bring_forward(
    database: Place, *, limit: int | None = LIMIT, besides: str | None = None, reason: str | None = None,
    notify: Notify = lambda line: None,
) -> tuple[int, int] | None:  # fmt: skip
    """Bring an older database forward; answers the versions before and after, None if there was no need to.

    `limit` is how many bytes it may have, None: any number. Nobody is asked about the run `besides`. Raises
    `Temporary` while a run in it lives, where it is larger, or where there is not enough room; `NewerVersion` where a
    later release wrote it.
    """
    if isinstance(database, PostgresPlace):
        return None  # no release has written another schema there
    if not database.is_file() or not database.stat().st_size:
        return None
    before = _version(database)
    if before is None or before >= schema.VERSION:
        return None
    if limit is not None and database.stat().st_size > limit:
        raise Temporary(
            f"{database} has schema version {before} and is larger than {limit >> 20:,} MiB",
            details=[f"it must be brought to version {schema.VERSION} first, which takes its time and room"],
            next_step="elspeth doctor --fix",
        )
    if alive := alive_in(database, besides, notify):
        raise Temporary(
            f"{database} has schema version {before} and is in use, so it is not brought to {schema.VERSION} now",
            details=[f"a run in it is alive: {alive}"],
            next_step="wait for its end, then do this again",
        )
    from elspeth.runs.operate.client import migrate  # with the writer: hardly a run needs it, and all wait for imports

    notify(f"The audit database {database} is brought from version {before} to {schema.VERSION}.")
    migrate(database, reason=reason, notify=notify)
    return before, schema.VERSION


def _version(database: Path) -> int | None:
    connection = open_reader(database)
    try:
        with translated_errors(database):
            if schema.is_empty(connection):
                return None
            schema.check_readable(connection, database)
            return schema.version(connection)
    finally:
        connection.close()


def alive_in(database: Place, besides: str | None, notify: Notify) -> str | None:
    """Who drives a run in this database, or may do so: as a sentence."""
    for path in sorted(lock_path(database, "", 0).parent.glob("*.lock")) if isinstance(database, Path) else ():
        if path.name.split(".")[0] != besides and probe(path).state == "held":
            return f"{path.stem} (its lock is held)"
    with AuditReader(database) as reader:
        running = [run for run in reader.runs() if run.status == "running" and run.run_id != besides]
        for found in assessments(reader, running, patience=PATIENCE_SECONDS, notify=notify):
            if not found.verdict.dead and found.verdict.state != "frozen":
                return f"{found.run.run_id} ({found.verdict.sentence})"
    return None
