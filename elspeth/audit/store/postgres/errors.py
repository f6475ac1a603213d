"""What psycopg and a server refuse, in our words: which database, what was found, what to do, and the exit code."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager

from elspeth.audit.connection import Lost
from elspeth.audit.store.place import PostgresPlace
from elspeth.errors import ElspethError, SettingsError, Temporary

_LATER = ("starting up", "shutting down", "in recovery", "too many", "connection slots", "not yet accepting")
_LOST = ("closed the connection", "consuming input failed", "sending query", "connection is lost",
         "connection is closed", "connection not open", "no connection to the server", "SSL connection has been closed",
         "could not receive data", "could not send data")  # fmt: skip
_WRONG = ("no password supplied", "does not support ssl", "root certificate", "certificate verify failed",
          "invalid ", "unsupported startup parameter", "private key file", "no such user", "no such database",
          "not allowed", "permission denied")  # fmt: skip


def require_driver() -> None:
    """Raise `SettingsError` where psycopg is not installed."""
    if importlib.util.find_spec("psycopg") is None:
        raise SettingsError(
            "an audit database in PostgreSQL needs psycopg, which is not installed",
            next_step="pip install 'elspeth[postgres]'",
        )


@contextmanager
def translated_errors(place: PostgresPlace) -> Iterator[None]:
    """Turn psycopg's errors into ours."""
    require_driver()
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        raise worded(error, place) from error


def worded(error: Exception, place: PostgresPlace) -> ElspethError:
    """The error that says the same as one of psycopg's."""
    import psycopg

    code = getattr(error, "sqlstate", None) or ""
    said = _said(error)
    if not code and isinstance(error, psycopg.ProgrammingError):
        return SettingsError(f"{place} is no address of a database: {said}", next_step=_NAME)
    if not code and isinstance(error, psycopg.DataError):
        return ElspethError(f"the audit database {place} cannot hold this: {said}")
    if not code and any(words in said for words in _LOST) and not said.startswith("connection failed"):
        return lost(place, said)
    if not code:
        return _not_connected(said, place)
    if code[:2] == "08" or code in ("57P01", "57P02", "57P05", "25P03"):
        return lost(place, said)
    if code == "57P03" or code[:2] == "53":
        return Temporary(f"the audit database {place} cannot take it now: {said}", next_step="mend it, then resume")
    if code == "57014":
        return Temporary(f"what was asked of {place} took too long and was given up", next_step="ask for less")
    if code == "55P03":
        return Temporary(
            f"the audit database {place} is locked by another program",
            details=["another session writes there and does not come to an end"],
            next_step="end the session that holds it (pg_stat_activity names it), then resume",
        )
    if code[:2] == "40":
        return Temporary(f"the audit database {place} gave a transaction up: {said}", next_step="resume")
    if code == "25006":
        return Temporary(
            f"the audit database {place} cannot be written: {said}",
            details=["the server is a standby, or the role may only read"],
            next_step="name the server that is written to, then resume",
        )
    if code in ("42501", "3F000", "28000", "28P01", "3D000"):
        return SettingsError(
            f"the audit database {place} refused: {said}",
            next_step="name a schema that the role owns (?schema=NAME), or ask for the right to create in it",
        )
    if code[:2] in ("58", "XX"):
        return ElspethError(f"the audit database {place} is damaged, or its server is: {said}", next_step=_NAME)
    return ElspethError(f"the audit database {place} refused: {said}")


def lost(place: PostgresPlace, said: str) -> Lost:
    """The error of a session that ended before its time."""
    return Lost(
        f"the connection to the audit database {place} was lost",
        details=[said],
        next_step="see that the server can be reached, then resume",
    )


_NAME = "name another one with --database or landscape.url"


def _not_connected(said: str, place: PostgresPlace) -> ElspethError:
    lower = said.lower()
    refused = "FATAL" in said and not any(words in lower for words in _LATER)
    if refused or any(words in lower for words in _WRONG):
        return SettingsError(
            f"the audit database {place} refused: {said.rpartition('FATAL:')[2].strip()}",
            next_step="mend user, password or database; a password may come from PGPASSWORD or ~/.pgpass",
        )
    return Temporary(
        f"the audit database {place} is not reachable",
        details=[said],
        next_step="see that host and port are right and the server is running, then resume",
    )


def _said(error: Exception) -> str:
    diagnosis = getattr(error, "diag", None)
    first = getattr(diagnosis, "message_primary", None) or str(error)
    return "; ".join(line.strip() for line in first.splitlines() if line.strip()) or type(error).__name__
