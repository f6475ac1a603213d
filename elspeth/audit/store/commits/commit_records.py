"""The records of one commit, checked, put in key order and digested: all the work that needs no database."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from operator import attrgetter
from typing import Any

import msgspec

from actors.places.local.malloc import give_back
from elspeth.audit.chain import digests
from elspeth.audit.chain.digests import TableDigest
from elspeth.audit.chain.layouts import LAYOUTS, NEWEST, Layout
from elspeth.audit.chain.records import COLUMNS, FIXED, KEY_LENGTH, Record, Records, record_type
from elspeth.audit.mapping.stored_frames import StoredFrame
from elspeth.audit.mapping.tables import HELD_IN, STORED
from elspeth.audit.store.commits.record_frames import RecordFrames, TableRecords, frames_of
from elspeth.errors import ElspethError

LARGE_BYTES = 8 << 20
"""What no commit but that of a large batch lets go of at once."""

_RUN_ID = re.compile(r"[a-z0-9]{8}")
_OF_A_RUN = frozenset({"nodes", "edges"})  # keyed by run and id: their ids do not begin with the run's


def key_columns(table: str) -> tuple[str, ...]:
    """The columns that make a record's key, the run's id aside."""
    if table in STORED:
        return (STORED[table].key,)
    return (COLUMNS.get(table) or FIXED[table])[: KEY_LENGTH.get(table, 1)]


@dataclass(slots=True)
class PreparedCommit:
    """What one commit will write. `records` holds tables with at least one record, as they are read; of those that are
    views, `stored` holds what is written, by the table that it is written to."""

    run_id: str
    records: dict[str, TableRecords] = field(default_factory=dict)
    stored: dict[str, list[StoredFrame]] = field(default_factory=dict)
    digests: list[TableDigest] = field(default_factory=list)

    def insert(self, table: str, rows: int = 1) -> str:
        """The statement that inserts so many records of this table; each binds the commit's number, then its values.

        Of a table of small records the number is bound once, in front of all."""
        return _insert(self.run_id, table, rows)

    def add_single(self, table: str, columns: Mapping[str, Any]) -> None:
        """Let the chain cover the unchanging columns of a row of `runs` or `run_attempts`."""
        record = tuple(columns.get(column) for column in FIXED[table])
        self.digests.append(digests.digest_table(table, checked(table, [record])))


def prepared(
    run_id: str, records: Records, sent: Sequence[RecordFrames] = (), *, lasting: bool = True
) -> PreparedCommit:
    """What one commit writes: records made here, which are checked, and what roles sent, which is when it is inserted.

    Unless it is to be `lasting`, for who wants the records afterwards, lines that were digested and are stored in
    another form are let go of, and `sent` is empty of them. Raises `ElspethError` naming table and value.
    """
    if not _RUN_ID.fullmatch(run_id):
        raise ElspethError(f"{run_id!r} is not a run id: 8 lower-case letters and digits")
    unknown = records.keys() - COLUMNS.keys()
    if unknown:
        raise ElspethError(f"there is no audit table {min(unknown)}")
    batch, freed = PreparedCommit(run_id), 0
    here = frames_of({table: checked(table, made) for table, made in records.items() if made})
    for stored in STORED:
        if parts := [frames.stored[stored] for frames in (*sent, here) if stored in frames.stored]:
            batch.stored[stored] = sorted(parts, key=attrgetter("first"))
    for table in COLUMNS:
        found = [frames.read[table] for frames in (*sent, here) if table in frames.read]
        if found:
            joined = TableRecords(table, found)
            if table not in _OF_A_RUN:
                _refuse_foreign(run_id, joined)
            batch.records[table] = joined
            batch.digests.append(digests.digest_lines(table, joined.count, joined.lines))
            if table in HELD_IN and not lasting:
                freed += sum(len(lines.fixed) + len(lines.purgeable) for lines in joined.lines)
                joined.forget()
                for frames in sent:
                    frames.read.pop(table, None)
                del found
    if freed > LARGE_BYTES:
        give_back()
    return batch


def checked(table: str, records: list[Record], layout: Layout = NEWEST) -> list[Record]:
    """The same records with values of exactly the columns' types: what is read back is then what was digested.

    Raises `ElspethError` where a value has another type.
    """
    try:
        return msgspec.convert({"records": records}, _kind(layout.number, table)).records  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise ElspethError(f"an audit record does not fit table {table}: {error}") from error


@cache
def _insert(run_id: str, table: str, rows: int) -> str:
    if table in STORED:
        columns = STORED[table].columns
        names, places = ", ".join(columns), ", ".join("?" * len(columns))
        return f"INSERT INTO {table} (commit_no, {names}) VALUES {', '.join([f'(?1, {places})'] * rows)}"
    columns = COLUMNS[table]
    quoted = ", ".join(f'"{column}"' for column in columns)
    # The run's id stands in the statement: it is the same for all records of the run and needs no binding.
    record = f"(?, '{run_id}', {', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} (commit_no, run_id, {quoted}) VALUES {', '.join([record] * rows)}"


def _refuse_foreign(run_id: str, joined: TableRecords) -> None:
    # Sorted, so the first and the last of each part answer for all.
    for name, *_ in joined.ends:
        if not name.startswith(run_id):
            raise ElspethError(f"{joined.table} record {name} does not belong to run {run_id}")


@cache
def _kind(number: int, table: str) -> Any:
    # msgspec prepares a struct's type once, but a bare tuple type anew in every call.
    record = record_type(table, LAYOUTS[number].columns[table])
    return msgspec.defstruct(table, [("records", list[record])])  # type: ignore[valid-type]
