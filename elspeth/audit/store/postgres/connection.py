"""A session with PostgreSQL behind the face of an open audit database.

A session that was lost between two transactions is replaced without a word; one that was lost within a transaction is
replaced at the next, and whoever was in it is told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, TypeVar

import psycopg
from psycopg.pq import TransactionStatus

from elspeth.audit.connection import OutcomeUnknown
from elspeth.audit.store.place import PostgresPlace
from elspeth.audit.store.postgres.errors import worded
from elspeth.audit.store.postgres.sessions import Session, connected, quoted
from elspeth.audit.store.postgres.statements import bound, numbered
from elspeth.audit.store.postgres.writers_lock import lock_writers
from elspeth.errors import Temporary

FETCHED = 2000
"""Rows that a stream has in memory at a time."""

PATIENCE_SECONDS = 10.0
"""For so long a server that was there, and is not, is tried again."""

PAUSE_SECONDS = 0.25

LOOK_SECONDS = 0.05
"""Between two times that somebody is asked whether to go on."""

_BEGIN = {
    "BEGIN": "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    "BEGIN IMMEDIATE": "BEGIN ISOLATION LEVEL READ COMMITTED",
    "BEGIN DEFERRED": "BEGIN ISOLATION LEVEL READ COMMITTED",
}
_OPEN = (TransactionStatus.INTRANS, TransactionStatus.INERROR, TransactionStatus.ACTIVE)

T = TypeVar("T")


class PostgresConnection:
    """An audit database in a schema. `reading`: nothing can be written."""

    def __init__(self, place: PostgresPlace, *, reading: bool) -> None:
        self.place = place
        self._reading = reading
        self._streams = count(1)
        self._over = threading.Event()
        try:
            self._session = connected(place, reading=reading)
        except psycopg.Error as error:
            raise worded(error, place) from error

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return not self._session.closed and self._session.info.transaction_status in _OPEN

    @property
    def schema(self) -> str:
        """The name of the schema."""
        return self.place.schema

    @property
    def session(self) -> Session:
        """The session of this moment, for what only psycopg can say."""
        return self._session

    def execute(self, sql: str, parameters: Any = (), /) -> psycopg.Cursor[Any]:
        """Carry a statement out. Raises `OutcomeUnknown` where it is `COMMIT` and the session ended in it."""
        with self._reached():
            if sql in _BEGIN:
                return self._begin(sql)
            if sql == "COMMIT":
                return self._commit()
            if sql == "ROLLBACK" and not self.in_transaction:
                return self._session.cursor()  # it went with its session
            statement, names = numbered(sql)
            values = bound(names, parameters)
            if self.in_transaction:
                return self._session.execute(statement.encode(), values)
            return self._anew(lambda: self._session.execute(statement.encode(), values))

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> psycopg.Cursor[Any]:
        """Carry a statement out with each of these."""
        statement, names = numbered(sql)
        with self._reached():
            cursor = self._session.cursor()
            cursor.executemany(statement.encode(), [bound(names, values) for values in parameters])
            return cursor

    def stream(self, sql: str, parameters: Any = (), /) -> Iterator[tuple[Any, ...]]:
        """The rows of a large answer, some at a time, while other statements are carried out."""
        name = f"elspeth_{next(self._streams)}"
        # Outside of a transaction the server keeps the answer by itself; it goes with the session at the latest.
        hold = "" if self.in_transaction else " WITH HOLD"
        self.execute(f"DECLARE {name} NO SCROLL CURSOR{hold} FOR {sql}", parameters)
        try:
            while rows := self._fetched(name):
                yield from rows
        finally:
            if not self._session.closed and self._session.info.transaction_status in (
                TransactionStatus.IDLE, TransactionStatus.INTRANS,
            ):  # fmt: skip
                self._session.execute(f"CLOSE {name}".encode(), prepare=False)

    def copy(self, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert records in one go, in the binary form of these types of PostgreSQL."""
        names = ", ".join(quoted(column) for column in columns)
        command = f"COPY {quoted(table)} ({names}) FROM STDIN (FORMAT BINARY)".encode()
        with self._reached(), self._session.cursor() as cursor, cursor.copy(command) as copy:
            copy.set_types(types)
            write = copy.write_row
            for row in rows:
                write(row)

    def beside(self) -> PostgresConnection:
        """Another connection with the same database, which may write."""
        return PostgresConnection(self.place, reading=False)

    def is_refused(self, error: Exception, /) -> bool:
        """Whether the server refused a statement, and the session is still there."""
        return isinstance(error, psycopg.DatabaseError) and not self._session.closed

    def watch(self, given_up: Callable[[], bool]) -> None:
        """Ask this now and then; once it says so, what is under way is given up, and whatever is asked later."""
        threading.Thread(target=self._watch, args=(given_up,), name="elspeth-watch", daemon=True).start()

    def _watch(self, given_up: Callable[[], bool]) -> None:
        while not self._over.wait(LOOK_SECONDS):
            if given_up() and self._session.info.transaction_status == TransactionStatus.ACTIVE:
                with suppress(psycopg.Error):
                    self._session.cancel_safe(timeout=1.0)

    def close(self) -> None:
        """Let go of the database."""
        self._over.set()
        self._session.close()

    def lock_writers(self) -> None:
        """Wait until nobody else writes, and let nobody before the end of this transaction."""
        with self._reached():
            lock_writers(self._session, self.place.schema)

    def _fetched(self, name: str) -> list[tuple[Any, ...]]:
        with self._reached():
            return self._session.execute(f"FETCH {FETCHED} FROM {name}".encode(), prepare=False).fetchall()

    @contextmanager
    def _reached(self) -> Iterator[None]:
        """What is wrong with the server or the way to it is said in our words at once, whoever asks."""
        try:
            yield
        except psycopg.Error as error:
            if not (isinstance(error, psycopg.OperationalError) or self._session.closed):
                raise
            raise worded(error, self.place) from error

    def _begin(self, sql: str) -> psycopg.Cursor[Any]:
        cursor = self._anew(lambda: self._session.execute(_BEGIN[sql].encode()))
        if sql == "BEGIN IMMEDIATE":
            try:
                self.lock_writers()
            except BaseException:
                if self.in_transaction:
                    self._session.execute(b"ROLLBACK")
                raise
        return cursor

    def _commit(self) -> psycopg.Cursor[Any]:
        try:
            cursor = self._session.execute(b"COMMIT")
        except psycopg.Error as error:
            if self._session.closed:
                raise OutcomeUnknown(str(error)) from error
            raise
        if cursor.statusmessage != "COMMIT":  # a statement had failed before: the server undid the transaction
            raise psycopg.errors.InFailedSqlTransaction("the transaction had failed before its end")
        return cursor

    def _anew(self, what: Callable[[], T]) -> T:
        """Do this; where the session turns out to be gone, once more in a new one. Outside of transactions alone."""
        if not self._session.closed:
            try:
                return what()
            except psycopg.Error:
                if not self._session.closed:
                    raise
        if self._over.is_set():
            raise psycopg.OperationalError("the connection is closed")
        self._session = self._connected_again()
        return what()

    def _connected_again(self) -> Session:
        until = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return connected(self.place, reading=self._reading)
            except psycopg.Error as error:
                wording = worded(error, self.place)
                if not isinstance(wording, Temporary) or time.monotonic() > until:
                    raise wording from error
                time.sleep(PAUSE_SECONDS)
