"""The lock of an attempt in PostgreSQL: an advisory lock of a session that its main process keeps open.

The server lets go of it when the session ends: at once when the process dies, and some ten seconds after the cable was
cut, since the session asks for keepalives. It is asked about in `pg_locks`, without being taken, and from any machine.

A session can end although its process lives: the server was started again, or the connection was cut. Then the process
takes the lock again, as soon as it can. Whoever found it free meanwhile may have taken the run over. That is what the
compare-and-swap of `runs.attempt` is for: the lock only tells, and nothing is decided by it alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import select
import threading
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from actors.crash_points import crash_point
from elspeth.audit.store.place import PostgresPlace
from elspeth.audit.store.postgres import lock_sessions
from elspeth.audit.store.postgres.errors import translated_errors
from elspeth.errors import RunInProgress, SettingsError, Temporary
from elspeth.runs.liveness.locks import AttemptLock

if TYPE_CHECKING:
    import psycopg

RETRY_SECONDS = 1.0
"""So long a lost session waits before it tries again."""

RELEASE_SECONDS = 2.0
"""So long is waited for one that is just trying to."""

_TEXT = re.compile(r"pg_advisory_lock\((?P<key>-?\d+)\) in database (?P<database>.+) of cluster (?P<cluster>\d*)")


@dataclass(frozen=True, slots=True)
class SessionLockName:
    """Which lock it is: its key, and the database in which keys are counted. `str` is what is recorded of it."""

    key: int
    database: str
    cluster: str

    def __str__(self) -> str:
        return f"pg_advisory_lock({self.key}) in database {self.database} of cluster {self.cluster}"

    @classmethod
    def of(cls, facts: lock_sessions.Facts, run_id: str, attempt: int) -> SessionLockName:
        """The name of the lock of this attempt: the first eight bytes of a digest over what tells it from others."""
        digest = hashlib.sha256("\n".join(("elspeth", facts.schema, run_id, str(attempt))).encode()).digest()
        return cls(int.from_bytes(digest[:8], "big", signed=True), facts.database, facts.cluster)

    @classmethod
    def read(cls, text: str) -> SessionLockName | None:
        """The name that was recorded; None where it is that of a file."""
        found = _TEXT.fullmatch(text)
        return cls(int(found["key"]), found["database"], found["cluster"]) if found else None


class SessionLock:
    """A lock that is held. `local` is a lock file for those who share this machine's state folder, where there is one.

    `name` is what is recorded, `path` where the lock file lies, or would: marks of the attempt lie beside it.
    """

    def __init__(
        self, place: PostgresPlace, name: SessionLockName, path: Path, session: psycopg.Connection[Any], owner: str
    ) -> None:
        self.name, self.path = str(name), path
        self.local: AttemptLock | None = None
        self._place, self._key, self._owner = place, name.key, owner
        self._session = session
        self._woken, self._waker = os.pipe()
        self._keeper = threading.Thread(target=self._keep, name="session lock", daemon=True)
        self._keeper.start()

    @classmethod
    def acquire(cls, place: PostgresPlace, run_id: str, attempt: int, path: Path) -> SessionLock:
        """Take the lock of this attempt, without waiting for a holder. `path` is where its marks will lie.

        Raises `RunInProgress` if somebody holds it, and what `lock_sessions.connect` does.
        """
        owner = f"elspeth {run_id}.{attempt}"
        session = lock_sessions.connect(place, owner)
        try:
            name = SessionLockName.of(lock_sessions.facts_of(session, place), run_id, attempt)
            with translated_errors(place):
                if not _take(session, name.key):
                    raise _in_progress(session, name)
        except BaseException:
            session.close()
            raise
        crash_point("main.lock_taken")
        return cls(place, name, path, session, owner)

    def discard(self) -> None:
        """Delete what lies in the state folder, and let go of the lock: the attempt has ended for good."""
        if self.local is not None:
            self.local.discard()
        crash_point("main.lock_discarded")
        self.release()

    def release(self) -> None:
        """Let go of the lock. Files stay."""
        if self.local is not None:
            self.local.release()
        if self._keeper.is_alive():
            os.write(self._waker, b".")
            self._keeper.join(RELEASE_SECONDS)
        with contextlib.suppress(Exception):
            self._session.close()
        if not self._keeper.is_alive() and self._woken >= 0:
            os.close(self._woken)
            os.close(self._waker)
            self._woken = self._waker = -1

    def __enter__(self) -> SessionLock:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def _keep(self) -> None:
        """Wait for the end of the session, or ours. A session that ended is replaced by another, which is locked."""
        while not self._is_over(self._session.fileno()):
            if self._is_lost():
                self._session.close()
                while not self._again():
                    if self._is_over(None, RETRY_SECONDS):
                        return

    def _is_over(self, descriptor: int | None, seconds: float | None = None) -> bool:
        """Whether it was let go of; waits until then, or until something has come from the server."""
        watched = [self._woken] if descriptor is None else [self._woken, descriptor]
        ready, _, _ = select.select(watched, [], [], seconds)
        return self._woken in ready

    def _is_lost(self) -> bool:
        try:
            self._session.execute("SELECT 1")  # what came may be a notice
        except lock_sessions.errors():
            return True
        return False

    def _again(self) -> bool:
        try:
            session = lock_sessions.connect(self._place, self._owner)
        except (Temporary, SettingsError):
            return False
        try:
            if _take(session, self._key):  # the server may not know yet that the session before this one is over
                self._session = session
                return True
        except lock_sessions.errors():
            pass
        session.close()
        return False


def _take(session: psycopg.Connection[Any], key: int) -> bool:
    found = session.execute("SELECT pg_try_advisory_lock($1)", (key,)).fetchone()
    return found is not None and bool(found[0])


def _in_progress(session: psycopg.Connection[Any], name: SessionLockName) -> RunInProgress:
    holder = lock_sessions.holders(session).get(name.key)
    return RunInProgress(
        "Run already in progress: another process holds the lock of this attempt.",
        details=[f"holder: {holder or 'has just let go of it'}", f"lock: {name}"],
        next_step="`elspeth doctor` says what is true of it.",
    )
