"""Asks a server who holds locks of sessions: with one session for any number of questions."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.audit.store.postgres import lock_sessions
from elspeth.audit.store.postgres.errors import translated_errors
from elspeth.errors import ElspethError
from elspeth.runs.liveness.locks import Probe
from elspeth.runs.liveness.session_lock import SessionLockName

if TYPE_CHECKING:
    import psycopg


class SessionProbe:
    """Answers about locks of sessions in one database. Connects when it is first asked; `with` disconnects.

    `database` may be a file, or unknown: then nothing can be told of any session.
    """

    def __init__(self, database: Place | None) -> None:
        self._place = database if isinstance(database, PostgresPlace) else None
        self._session: psycopg.Connection[Any] | None = None
        self._depth = 0

    def probe(self, name: SessionLockName) -> Probe:
        """Ask whether somebody holds the lock, without taking it. Raises nothing: what cannot be asked about is
        `unreachable`, with the reason; the detail of one that is held says who holds it.
        """
        path = Path(str(name))
        if self._place is None:
            return Probe("unreachable", path, f"it is {name}")
        try:
            with translated_errors(self._place):
                if self._session is None:
                    self._session = lock_sessions.connect(self._place, "elspeth")
                found = lock_sessions.facts(self._place)
                if (found.cluster, found.database) != (name.cluster, name.database):
                    return Probe("unreachable", path, f"it is {name}, and this is another database")
                holder = lock_sessions.holders(self._session).get(name.key)
        except ElspethError as error:
            self._close()
            return Probe("unreachable", path, error.message)
        return Probe("held", path, str(holder)) if holder is not None else Probe("free", path)

    def __enter__(self) -> SessionProbe:
        self._depth += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._close()

    def _close(self) -> None:
        if self._session is not None:
            self._session.close()
            self._session = None
