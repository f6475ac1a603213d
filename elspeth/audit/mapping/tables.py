"""The small records: which there are, their columns with types, and which tables people read in their place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from elspeth.audit.chain.layouts import FIRST, NEWEST

Hash = Any  # bytes, text or None, which msgspec does not tell apart in one type
Time = int | str
Word = int | str
Name = int | str | None


@dataclass(frozen=True)
class StoredTable:
    """Records of one table. The first column is the key; `commit_no` is the last one, and no record carries it.

    `named` are columns that hold texts by their number in `names`, those in `purgeable` what a purge clears. `holds`
    are the tables, as people read them, that are made of these records.
    """

    name: str
    kinds: Mapping[str, Any]
    holds: tuple[str, ...]
    named: tuple[str, ...] = ()
    purgeable: tuple[str, ...] = ()

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The columns that a record carries, in order."""
        return tuple(self.all_kinds())

    def all_kinds(self) -> dict[str, Any]:
        """The same with their types, those included that a layout behind this form added."""
        later = {added_name(table, column): Any for table in self.holds for column in ADDED.get(table, ())}
        return {**self.kinds, **later}

    def statement(self) -> str:
        """The statement that creates the table. Columns have no types: a value stays what it is."""
        held = "".join(
            f'"{column}"{" NOT NULL" if _is_required(kind) else ""}, ' for column, kind in self._behind_the_key()
        )
        columns = f'"{self.key}" TEXT NOT NULL PRIMARY KEY, {held}"commit_no" NOT NULL'
        return f'CREATE TABLE "{self.name}" ({columns}) WITHOUT ROWID'

    @cached_property
    def required(self) -> frozenset[str]:
        """The columns behind the key that are never NULL."""
        return frozenset(column for column, kind in self._behind_the_key() if _is_required(kind))

    def _behind_the_key(self) -> list[tuple[str, Any]]:
        return list(self.all_kinds().items())[1:]

    @property
    def key(self) -> str:
        """The column that is the key."""
        return next(iter(self.kinds))


def _is_required(kind: Any) -> bool:
    return kind in (int, Time, Word)


TOKEN_RECORDS = StoredTable(
    "token_records",
    {
        "token_id": str,
        "what": int,  # 1: a row and its first token, 2: a row, 3: a token
        "source": Name,
        "source_data_hash": Hash,
        "source_data": str | None,
        "source_data_ref": str | None,
        "line": int | None,
        "created_at": Time,
        "row_index": int | None,  # NULL: as the key says
        "branch_name": str | None,
        "row_id": str | None,  # NULL: as the key says
        "token_created_at": int | str | None,  # NULL: as the row
    },
    ("rows", "tokens"),
    named=("source",),
    purgeable=("source_data",),
)
STATE_RECORDS = StoredTable(
    "state_records",
    {
        "state_id": str,
        "what": int,  # 1: a state, 2: a state and the way that was taken behind it, 3: a further way
        "node": Name,
        "status": int | str | None,
        "step_index": int | None,
        "attempt": int | None,
        "input_hash": Hash,  # 1: that of the row as read
        "output": Hash,  # NULL: none; 1: the hash of the input
        "output_data": str | None,
        "output_data_ref": str | None,
        "error_json": str | None,
        "started_at": int | str | None,
        "took": int | str | None,  # milliseconds; a text: when it ended
        "duration": int | float | None,  # microseconds
        "edge": Name,
        "mode": int | str | None,
        "reason": Name,
        "routed": int | str | None,  # milliseconds behind the end; a text: when
        "state": str | None,  # of a further way
    },
    ("node_states", "routing_events"),
    named=("node", "edge", "reason"),
    purgeable=("output_data", "error_json", "reason"),
)
OUTCOME_RECORDS = StoredTable(
    "outcome_records",
    {
        "outcome_id": str,
        "outcome": Word,
        "sink": Name,
        "sink_row": int | None,
        "batch_id": str | None,
        "error_json": str | None,
        "recorded_at": Time,
        "is_terminal": int | None,  # NULL: as the outcome says
    },
    ("token_outcomes",),
    named=("sink",),
    purgeable=("error_json",),
)

STORED: Mapping[str, StoredTable] = {table.name: table for table in (TOKEN_RECORDS, STATE_RECORDS, OUTCOME_RECORDS)}
"""By name."""

HELD_IN: Mapping[str, StoredTable] = {public: table for table in STORED.values() for public in table.holds}
"""By the table that people read."""

ADDED: dict[str, tuple[str, ...]] = {
    table: later for table in HELD_IN if (later := NEWEST.columns[table][len(FIRST.columns[table]) :])
}
"""Columns that later layouts added to the tables that people read: they are stored as they are read."""

NAMES = "names"
"""The table of texts that records hold by their number, run by run: nodes, edges and the reasons of gates."""

NAMES_STATEMENT = (
    'CREATE TABLE "names" ("run_id" TEXT NOT NULL, "name_no" INTEGER NOT NULL, "name" TEXT NOT NULL,'
    ' PRIMARY KEY ("run_id", "name_no")) WITHOUT ROWID'
)
"""Numbers below 0 are those of texts that a purge takes away."""

REASON = "reason"
"""The column whose texts a purge removes from `names`."""


def added_name(table: str, column: str) -> str:
    """How a column that a later layout added to a table is called in its record."""
    return f"{table}_{column}"


def statements() -> dict[str, str]:
    """The statements that create the tables of small records, by name."""
    return {**{name: form.statement() for name, form in STORED.items()}, NAMES: NAMES_STATEMENT}
