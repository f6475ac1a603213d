"""What everybody asks of an open audit database, whichever it is: as much of `sqlite3.Connection` as is used.

Statements are written in the SQL that both databases understand, with `?`, `?1` or `:name` where values go; where they
differ, `dialect` beside this says how.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol

from elspeth.errors import Temporary


class Cursor(Protocol):
    """The rows that a statement answers."""

    @property
    def description(self) -> Any:
        """A tuple for each column, which begins with its name."""

    @property
    def rowcount(self) -> int:
        """Rows that were changed."""

    def fetchone(self) -> Any:
        """The next row, None behind the last."""

    def fetchall(self) -> list[Any]:
        """The rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """The rows that are left, one after the other."""

    def __next__(self) -> Any:
        """The next row."""


class Connection(Protocol):
    """An open audit database. Transactions are begun and ended by statements: `BEGIN` is a snapshot for reading, in
    `BEGIN IMMEDIATE` nobody else writes; `BEGIN DEFERRED` writes, too, and a server lets others write meanwhile."""

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""

    def execute(self, sql: str, parameters: Any = ..., /) -> Cursor:
        """Carry a statement out."""

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> Cursor:
        """Carry a statement out with each of these."""

    def close(self) -> None:
        """Let go of the database."""


class ServerConnection(Connection, Protocol):
    """An audit database in a schema of PostgreSQL, with what it can do besides."""

    @property
    def schema(self) -> str:
        """The name of the schema."""

    def beside(self) -> ServerConnection:
        """Another connection with the same database, which may write."""

    def is_refused(self, error: Exception, /) -> bool:
        """Whether the server refused a statement, and the session is still there."""

    def stream(self, sql: str, parameters: Any = ..., /) -> Iterator[tuple[Any, ...]]:
        """The rows of a large answer, some at a time, while other statements are carried out."""

    def copy(self, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Insert records in one go, in the binary form of these types."""

    def lock_writers(self) -> None:
        """Wait until nobody else writes, and let nobody before the end of this transaction."""

    def watch(self, given_up: Callable[[], bool], /) -> None:
        """Ask this now and then; once it says so, what is under way is given up, and whatever is asked later."""


class Lost(Temporary):
    """The connection was lost before a transaction ended: nothing of it happened, and it can be sent again."""


class OutcomeUnknown(Exception):
    """The connection was lost while a commit was under way: whether it happened is to be asked."""
