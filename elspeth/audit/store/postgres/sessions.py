"""How a session with a server is begun: what is set for it, and what is found out before anything is trusted to it."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.conninfo import conninfo_to_dict

from elspeth.audit.store.place import PostgresPlace
from elspeth.errors import SettingsError

CONNECT_SECONDS = 10
"""How long a connection may take to come about, unless the URL says otherwise."""

LOCK_SECONDS = 20
"""How long a writer waits for another one."""

IDLE_SECONDS = 15
"""After so long without a word inside of a transaction the server ends a writer's session: one that was stopped there
holds nobody up for as long as others wait."""

ROUNDS = 3
"""Times that two sessions are compared behind a pooler that others use, too."""

POOLED = "the audit database {place} is behind a pooler that gives each transaction another session"

_DEFAULTS = {
    "application_name": "elspeth",
    "client_encoding": "UTF8",
    "connect_timeout": str(CONNECT_SECONDS),
    # A cut cable is noticed within these seconds; the server's own defaults are two hours.
    "keepalives": "1",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "tcp_user_timeout": "10000",
}
"""What libpq is told unless the URL says something else."""

Session = psycopg.Connection[Any]


def connected(place: PostgresPlace, *, reading: bool) -> Session:
    """A new session, in which every statement is a transaction of its own unless one is begun.

    Raises what psycopg raises, and `SettingsError` where the server cannot keep an audit database.
    """
    session = opened(place)
    try:
        _require_utf8(session, place)
        _require_sessions(session, place)
        session.execute("SELECT set_config('search_path', $1, false)", (quoted(place.schema),))
        # What a role or a database was given is meant for other programs: a long question of ours is no mistake.
        session.execute("SET statement_timeout = 0")
        session.execute("SET jit = off")
        if session.info.server_version >= 140000:
            session.execute("SET idle_session_timeout = 0")
        if reading:
            session.execute("SET default_transaction_read_only = on")
        else:
            session.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")
            session.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
            # Off would mean that what was called durable is lost with the server's machine.
            if session.execute("SHOW synchronous_commit").fetchone() == ("off",):
                session.execute("SET synchronous_commit = on")
    except BaseException:
        session.close()
        raise
    return session


class _Numbers(Loader):
    """Sums of whole numbers are whole numbers, as in SQLite."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"N" in text else int(text)


def opened(place: PostgresPlace) -> Session:
    """A session as the server gives it, with our defaults for libpq. Raises what psycopg raises."""
    given = conninfo_to_dict(place.url)
    more: dict[str, Any] = {key: value for key, value in _DEFAULTS.items() if key not in given}
    session = psycopg.connect(place.url, autocommit=True, cursor_factory=psycopg.RawCursor, **more)
    session.adapters.register_loader("numeric", _Numbers)
    return session


def quoted(name: str) -> str:
    """A name as it stands in a statement."""
    return '"' + name.replace('"', '""') + '"'


def _require_utf8(session: Session, place: PostgresPlace) -> None:
    encoding = session.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise SettingsError(
            f"the audit database {place} keeps texts as {encoding}: not all that is recorded can be written so",
            next_step="name a database that was created with the encoding UTF8",
        )


def _require_sessions(session: Session, place: PostgresPlace) -> None:
    """Raise `SettingsError` where what a session holds (settings, locks) is another's in the next transaction.

    A pooler tells its own number for the backend. Whether it is one that keeps sessions apart, a second one tells: two
    that are open at the same time are never served by one backend there.
    """
    mine = _backend(session)
    if mine == session.info.backend_pid:
        return
    with opened(place) as other:
        if all(_backend(other) != mine == _backend(session) for _ in range(ROUNDS)):
            return
    raise SettingsError(
        POOLED.format(place=place),
        details=["locks and settings of a session do not last there"],
        next_step="name the server itself, or set pool_mode = session for this database",
    )


def _backend(session: Session) -> int:
    row = session.execute("SELECT pg_backend_pid()").fetchone()
    assert row is not None
    return int(row[0])
