"""The lock under which one session at a time writes in a schema, and what ends a session that holds it in silence.

The server itself ends a session that says nothing between two statements of a transaction. One whose process stands
still, or is out of reach, in the midst of `COPY` is no such session to it: it would wait for its rows for good, and
everybody who writes, an attempt that took over among them, would wait for it. So who has waited in vain looks at the
holder twice, and ends it where not a byte came from it in between.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from datetime import datetime

import psycopg

from elspeth.audit.store.postgres.sessions import IDLE_SECONDS, LOCK_SECONDS, Session

NAMESPACE = 0x456C7370
"""The first half of the advisory lock; the second one is the schema's."""

SILENT_SECONDS = float(IDLE_SECONDS)
"""For so long not a byte comes from a holder that is ended."""

UNTIL_LOOKED_SECONDS = float(LOCK_SECONDS - IDLE_SECONDS)
"""For so long one waits before the first look, and once the holder was ended."""

PROGRESS_VERSION = 140000
"""The release of a server from which on it tells how far a `COPY` is."""

_SILENT = """
    SELECT a.pid, a.backend_start, a.query_start, p.bytes_processed
    FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid LEFT JOIN pg_stat_progress_copy p ON p.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = $1 AND l.objid::bigint = $2 AND l.objsubid = 2
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND a.state = 'active' AND a.wait_event_type = 'Client'
"""


@dataclass(frozen=True, slots=True)
class _Silent:
    """A session that holds the lock and waits for its client, and how far it had come."""

    pid: int
    begun: datetime
    statement_begun: datetime
    bytes_processed: int | None


def key_of(schema: str) -> int:
    """The second half of the lock: a number of four bytes, with its sign."""
    return zlib.crc32(schema.encode()) - (1 << 31)


def lock_writers(session: Session, schema: str) -> None:
    """Wait until nobody else writes, and let nobody before the end of the transaction that is open.

    Raises `psycopg.errors.LockNotAvailable` once both times have passed and the holder is at work, or not ours to end.
    """
    try:
        return _lock(session, schema, UNTIL_LOOKED_SECONDS)
    except psycopg.errors.LockNotAvailable:
        seen = _silent(session, schema)
    try:
        return _lock(session, schema, SILENT_SECONDS)
    except psycopg.errors.LockNotAvailable:
        if seen is None or seen != _silent(session, schema) or not _ended(session, seen):
            raise
    return _lock(session, schema, UNTIL_LOOKED_SECONDS)


def _lock(session: Session, schema: str, seconds: float) -> None:
    """Wait for the lock; where it is not to be had in time, the transaction is as it was before."""
    steps = (
        "SAVEPOINT before_lock",
        f"SET LOCAL lock_timeout = '{max(1, round(seconds * 1000))}ms'",  # 0 would mean for good
        f"SELECT pg_advisory_xact_lock({NAMESPACE}, {key_of(schema)})",
        f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'",
        "RELEASE before_lock",
    )
    try:
        session.execute("; ".join(steps).encode())
    except psycopg.errors.LockNotAvailable:
        session.execute(b"ROLLBACK TO before_lock")
        raise


def _silent(session: Session, schema: str) -> _Silent | None:
    if session.info.server_version < PROGRESS_VERSION:
        return None
    session.execute(b"SELECT pg_stat_clear_snapshot()")  # in a transaction a second look shows what the first one did
    # An object's number has no sign.
    found = session.execute(_SILENT.encode(), (NAMESPACE, key_of(schema) % (1 << 32))).fetchone()
    return found and _Silent(*found)


def _ended(session: Session, silent: _Silent) -> bool:
    """End it, and say whether that was allowed."""
    try:
        session.execute(b"SAVEPOINT before_end")
        session.execute(b"SELECT pg_terminate_backend($1)", (silent.pid,))
        session.execute(b"RELEASE before_end")
    except psycopg.errors.InsufficientPrivilege:
        session.execute(b"ROLLBACK TO before_end")
        return False
    return True
