"""Audit records in memory, and what an ordered stage asks of them."""

from __future__ import annotations

from collections.abc import Iterator

from elspeth.audit.chain.records import COLUMNS, Records


class Recorded:
    """The records of a run that keeps no database."""

    def __init__(self) -> None:
        self.records: Records = {table: [] for table in COLUMNS}

    def add(self, records: Records) -> None:
        """Take in more records."""
        for table, rows in records.items():
            self.records[table].extend(rows)

    def members(self, batch_id: str) -> list[tuple[str, str]]:
        """Token id and data of everybody in a batch, in the order of their arrival."""
        return [(token, text) for batch, token, _, text in self.records["batch_members"] if batch == batch_id]

    def each_member(self, batch_id: str, count: int) -> Iterator[tuple[str, str]]:
        """The first `count` members of a batch like `members`, but one after the other: there may be millions."""
        return iter(self.members(batch_id)[:count])

    def waiting(self, node_id: str, first: str, last: str) -> list[tuple[str, str, str]]:
        """Join, token id and data of all who wait at a coalesce, for joins with ids from `first` to `last`."""
        closed = {record[0] for record in self.records["batches"]}
        return [
            (batch, token, text)
            for batch, token, _, text in self.records["batch_members"]
            if first <= batch <= last and batch.endswith(f"+{node_id}") and batch not in closed
        ]

    def decided(self, batch_id: str) -> bool:
        """Whether this batch or pending join is closed."""
        return any(record[0] == batch_id for record in self.records["batches"])
