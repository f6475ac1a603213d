"""Who waits in open batches and pending joins, as the audit database knows it: what restoring stages ask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elspeth.audit.connection import Connection
from elspeth.audit.dialect import stream
from elspeth.audit.store import database
from elspeth.audit.store.place import Place


class BatchStore:
    """Who waits in open batches and pending joins, as the database at `place` knows it.

    A connection is opened when something is asked and kept until `close`: whoever leaves the database in order needs it
    to be alone there.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection: Connection | None = None

    def members(self, batch_id: str) -> list[tuple[str, str]]:
        """Token id and data of everybody in a batch, in the order of their arrival."""
        query = "SELECT token_id, member_data FROM batch_members WHERE batch_id = ? ORDER BY ordinal"
        return self._ask(query, batch_id)

    def each_member(self, batch_id: str, count: int) -> Iterator[tuple[str, str]]:
        """The first `count` members of a batch like `members`, but one after the other: there may be millions."""
        query = "SELECT token_id, member_data FROM batch_members WHERE batch_id = ? AND ordinal < ? ORDER BY ordinal"
        with database.translated_errors(self._place):
            yield from stream(self._connected(), query, (batch_id, count))

    def waiting(self, node_id: str, first: str, last: str) -> list[tuple[str, str, str]]:
        """Join, token id and data of all who wait at a coalesce, for joins with ids from `first` to `last`."""
        query = """
            SELECT m.batch_id, m.token_id, m.member_data FROM batch_members AS m
            WHERE m.batch_id >= ? AND m.batch_id <= ? AND substr(m.batch_id, length(m.batch_id) - length(?) + 1) = ?
            AND NOT EXISTS (SELECT 1 FROM batches AS b WHERE b.batch_id = m.batch_id)
            ORDER BY m.batch_id, m.ordinal
        """
        return self._ask(query, first, last, f"+{node_id}", f"+{node_id}")

    def decided(self, batch_id: str) -> bool:
        """Whether this batch or pending join is closed."""
        return bool(self._ask("SELECT 1 FROM batches WHERE batch_id = ?", batch_id))

    def close(self) -> None:
        """Let go of the database until something is asked again."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _ask(self, query: str, *values: str) -> list[Any]:
        with database.translated_errors(self._place):
            return self._connected().execute(query, values).fetchall()

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = database.open_reader(self._place)
        return self._connection
