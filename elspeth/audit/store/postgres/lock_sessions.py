"""Sessions on a PostgreSQL server in which advisory locks are held, and asked about."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from elspeth.audit.store.place import PostgresPlace
from elspeth.audit.store.postgres.errors import translated_errors

if TYPE_CHECKING:
    import psycopg

KEEPALIVE = {"idle": 5, "interval": 2, "count": 3}
"""Seconds of silence, seconds between questions, and how many stay unanswered: a cut cable is found in eleven."""

USER_TIMEOUT_SECONDS = 10

# The server's own side; ours has the same. Without it the server finds out after two hours that who holds a lock is out
# of reach.
_SERVER = "; ".join([
    *(f"SET tcp_keepalives_{name} = {value}" for name, value in KEEPALIVE.items()),
    f"SET tcp_user_timeout = {USER_TIMEOUT_SECONDS * 1000}",
])  # fmt: skip

_HOLDERS = """
    SELECT l.classid::bigint, l.objid::bigint, l.pid, a.client_addr::text, a.application_name
    FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
    WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """Which database it is, however it was named: the cluster's own number, empty where the server keeps it to itself,
    the database's name in it, and our schema in that.
    """

    cluster: str
    database: str
    schema: str

    @property
    def digest(self) -> str:
        """The same in twelve hex digits."""
        return hashlib.sha256("\n".join((self.cluster, self.database, self.schema)).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock, as far as the server tells us."""

    pid: int
    address: str | None
    application: str | None

    def __str__(self) -> str:
        named = f" of {self.application}" if self.application else ""
        return f"session {self.pid}{named}" + (f" from {self.address}" if self.address else "")


def connect(place: PostgresPlace, application: str) -> psycopg.Connection[Any]:
    """Begin a session of its own, whose end is noticed on both sides within some ten seconds.

    Raises `Temporary`, or `SettingsError` where the address is wrong, or that of a pooler whose sessions are shared.
    """
    with translated_errors(place):
        from elspeth.audit.store.postgres.sessions import connected  # psycopg takes its time, and is an extra

        session = connected(place, reading=True)
        try:
            session.execute(_SERVER)
            session.execute("SELECT set_config('application_name', $1, false)", (application,))
            if session.info.server_version >= 140000:
                session.execute("SET idle_session_timeout = 0")
        except BaseException:
            session.close()
            raise
        return session


def facts_of(session: psycopg.Connection[Any], place: PostgresPlace) -> Facts:
    """Which database this session is in."""
    import psycopg

    with translated_errors(place):
        found = session.execute("SELECT current_database()").fetchone()
        try:
            cluster = session.execute("SELECT system_identifier FROM pg_control_system()").fetchone()
        except psycopg.errors.InsufficientPrivilege:
            cluster = None
    return Facts(str(cluster[0]) if cluster else "", str(found[0]) if found else "", place.schema)


_known: dict[PostgresPlace, Facts] = {}


def facts(place: PostgresPlace) -> Facts:
    """Which database this is; asked of the server once in the life of a process."""
    if place not in _known:
        session = connect(place, "elspeth")
        try:
            _known[place] = facts_of(session, place)
        finally:
            session.close()
    return _known[place]


def holders(session: psycopg.Connection[Any]) -> dict[int, Holder]:
    """Who holds the advisory locks of this database, by key."""
    found = {}
    for high, low, pid, address, application in session.execute(_HOLDERS):
        key = int.from_bytes((high << 32 | low).to_bytes(8, "big"), "big", signed=True)
        found[key] = Holder(pid, address and address.removesuffix("/32").removesuffix("/128"), application)
    return found


def errors() -> tuple[type[Exception], ...]:
    """What a session raises when it is lost."""
    import psycopg

    return (psycopg.Error, OSError)
