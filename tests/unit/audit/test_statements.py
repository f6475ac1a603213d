"""Statements of both databases in the words of PostgreSQL, and its refusals in ours: no server is asked."""

from __future__ import annotations

from typing import Any

import pytest

from elspeth.audit.connection import Lost
from elspeth.audit.store.place import PostgresPlace
from elspeth.audit.store.postgres.statements import bound, numbered
from elspeth.errors import ElspethError, SettingsError, Temporary

PLACE = PostgresPlace("postgresql://ada:hunter2@db.example/audit")


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("SELECT 1", "SELECT 1"),
        ("a = ? AND b = ?", "a = $1 AND b = $2"),
        ("a >= ?1 AND a < ?1 || '~' AND b = ?2", "a >= $1 AND a < $1 || '~' AND b = $2"),
        ("a = :run OR b = :end OR c = :run", "a = $1 OR b = $2 OR c = $1"),
        ("a = '?' AND b = 'it''s :x ?' AND c = ?", "a = '?' AND b = 'it''s :x ?' AND c = $1"),
        ('"odd?" = ? AND x::text = ?', '"odd?" = $1 AND x::text = $2'),
    ],
)
def test_places_of_values_are_numbered(statement: str, said: str) -> None:
    assert numbered(statement)[0] == said


def test_values_by_name_come_in_the_order_of_their_numbers() -> None:
    _, names = numbered("a = :run OR b = :end OR c = :run")
    assert bound(names, {"end": 2, "run": 1, "more": 3}) == [1, 2]
    assert bound((), (5, 6)) == (5, 6)


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ('connection failed: connection to server at "h", port 1 failed: Connection refused', Temporary),
        ("connection timeout expired", Temporary),
        ("failed to resolve host 'nowhere': [Errno -2] Name or service not known", Temporary),
        ('connection failed: FATAL:  password authentication failed for user "ada"', SettingsError),
        ('connection failed: FATAL:  database "audit" does not exist', SettingsError),
        ('connection failed: FATAL:  role "ada" does not exist', SettingsError),
        ('connection failed: FATAL:  no pg_hba.conf entry for host "1.2.3.4"', SettingsError),
        ("connection failed: FATAL:  the database system is starting up", Temporary),
        ("connection failed: FATAL:  the database system is in recovery mode", Temporary),
        ("connection failed: FATAL:  sorry, too many clients already", Temporary),
        ("connection failed: FATAL:  remaining connection slots are reserved", Temporary),
        ("connection failed: fe_sendauth: no password supplied", SettingsError),
        ("connection failed: server does not support SSL, but SSL was required", SettingsError),
        ("consuming input failed: server closed the connection unexpectedly", Lost),
        ("the connection is lost", Lost),
    ],
)
def test_what_ends_a_connection_is_told_apart(message: str, kind: type[ElspethError]) -> None:
    psycopg = pytest.importorskip("psycopg")
    from elspeth.audit.store.postgres.errors import worded

    found = worded(psycopg.OperationalError(message), PLACE)
    assert type(found) is kind
    assert "hunter2" not in found.message + "".join(found.details)
    assert "db.example" in found.message


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("DeadlockDetected", Temporary), ("SerializationFailure", Temporary), ("DiskFull", Temporary),
        ("AdminShutdown", Lost), ("LockNotAvailable", Temporary), ("ReadOnlySqlTransaction", Temporary),
        ("InsufficientPrivilege", SettingsError), ("QueryCanceled", Temporary), ("CannotConnectNow", Temporary),
        ("IdleInTransactionSessionTimeout", Lost), ("UniqueViolation", ElspethError), ("DataCorrupted", ElspethError),
    ],
)  # fmt: skip
def test_what_a_server_refuses_has_its_kind(name: str, kind: type[ElspethError]) -> None:
    psycopg: Any = pytest.importorskip("psycopg")
    from elspeth.audit.store.postgres.errors import worded

    assert type(worded(getattr(psycopg.errors, name)("so it said"), PLACE)) is kind
