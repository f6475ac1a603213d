"""Copies all that is on record of a run from one database into another, in one transaction there, and proves it there.

Records are copied as they are stored: what the chain covers is then the same to the byte, whichever databases these
are. Behind the last of them an operator's action says where they came from, and gives the run its place among those of
its new database. Payloads are files: their names are copied, and they stay where they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from actors.crash_points import crash_point
from elspeth.audit.chain.records import FLOATS, INTEGERS, RANGED, Record
from elspeth.audit.chain.signing import SIGNING_KEY
from elspeth.audit.connection import Connection
from elspeth.audit.dialect import is_duplicate, is_nul, is_sqlite, postgres
from elspeth.audit.export.jsonl import BLOBS, CHAIN, TABLES, columns_of
from elspeth.audit.mapping.tables import HELD_IN, NAMES, STORED
from elspeth.audit.mapping.typed_records import BYTES, FLOAT, TEXT, WHOLE, column_types, typed, untyped
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database, schema
from elspeth.audit.store.commits.commit_records import key_columns
from elspeth.audit.store.commits.order_of_runs import COPY
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.run import findings
from elspeth.errors import ElspethError, RunInProgress, SettingsError, Temporary

PIECE = 5000  # records at a time
SAID = 100 * PIECE  # after so many of a table it is said how far the copy is

_COUNTS = frozenset({"commit_no", "record_count", "layout", "heartbeat_number", "name_no"})
"""Columns of whole numbers besides those that a record can have."""

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Head:
    """The last commit of a run, and whether it is signed. `told` is the last one that does not only say of a copy."""

    commit_no: int
    digest: str
    signed: bool
    told: tuple[int, str]


def head_of(connection: Connection, run_id: str) -> Head | None:
    """The head of a run's chain in this database, None where the run is not in it."""
    query = "SELECT commit_no, digest, signature FROM commits AS c WHERE run_id = ?{} ORDER BY commit_no DESC LIMIT 1"
    no_copy = (
        " AND NOT EXISTS (SELECT 1 FROM operator_actions AS a"
        " WHERE a.run_id = c.run_id AND a.commit_no = c.commit_no AND a.action = ?)"
    )
    last = connection.execute(query.format(""), (run_id,)).fetchone()
    told = connection.execute(query.format(no_copy), (run_id, COPY)).fetchone()
    return None if last is None or told is None else Head(last[0], last[1], last[2] is not None, (told[0], told[1]))


def is_there(connection: Connection, run_id: str, head: Head, where: str) -> bool:
    """Whether this database, called `where`, holds all that is told of a run with this head elsewhere.

    Raises `ElspethError` where it holds a run with this id that is another, or of which less is told.
    """
    there = head_of(connection, run_id)
    known = connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run_id,)).fetchone() is not None
    if there is None and not known:
        return False
    same = connection.execute(
        "SELECT 1 FROM commits WHERE run_id = ? AND commit_no = ? AND digest = ?", (run_id, *head.told)
    ).fetchone()
    if same is None:
        what = "no commits" if there is None else f"the head {there.digest[:12]}, commit {there.commit_no}"
        raise ElspethError(
            f"run {run_id} is in {where} already, and is not the same",
            details=[f"there it has {what}", f"here it has the head {head.digest[:12]}, commit {head.commit_no}",
                     "nothing was copied"],
            next_step="copy it into another database",
        )  # fmt: skip
    return True


def require_copyable(origin: AuditReader, run_id: str, key: bytes | None) -> Head:
    """The head of a run that may be copied, as the open snapshot sees it, after all of its evidence was recomputed.

    Raises `RunInProgress` where the run has not finished: it can be driven from where it is, and from there alone.
    `SettingsError` where it is signed and there is no key, `ElspethError` where something of it does not hold, or its
    database is of an older schema.
    """
    schema.check(origin.connection, origin.path)  # an older one can be read, but holds its records otherwise
    run = origin.run(run_id)
    if run.status == "running" or (run.completed_at is None and run.superseded_by is None):
        raise RunInProgress(
            f"run {run_id} has not finished: it can still be resumed where it is, so it is not copied",
            next_step=f"elspeth resume {run_id}, or give it up: elspeth doctor --mark-failed {run_id}",
        )
    head = head_of(origin.connection, run_id)
    if head is not None and head.signed and key is None:
        raise SettingsError(
            f"run {run_id} is signed, and the commit that says where it was copied to must be, too",
            next_step=f"set {SIGNING_KEY} to the key it was signed with, then copy it",
        )
    signed = key if head is not None and head.signed else None
    require_evidence(list(findings(origin.connection, run_id, signed)), run_id, str(origin.path))
    assert head is not None  # a run without commits does not hold
    return head


def require_evidence(found: list[Discrepancy], run_id: str, where: str) -> None:
    """Raise `ElspethError` where something about a run does not hold: nothing of it is copied then."""
    if found:
        raise ElspethError(
            f"run {run_id} does not hold in {where}, so it is not copied",
            details=[finding.sentence for finding in found],
            next_step=f"elspeth verify {run_id}",
        )


def transfer(origin: AuditReader, target: Connection, run_id: str, notify: Notify) -> None:
    """Insert every record of the run into the target, in the transaction that is open there.

    Raises `Temporary` where somebody else copied the run there meanwhile.
    """
    for table in (*(table for table in TABLES if table not in HELD_IN), *STORED, NAMES):
        columns, count = _columns(table), 0
        for records in _pieces(origin, run_id, table, columns):
            try:
                _insert(target, table, columns, records)
            except Exception as error:
                if is_duplicate(error):
                    raise Temporary(
                        f"run {run_id} came into this database while it was copied there",
                        next_step="the same command again",
                    ) from error
                if is_nul(error):  # an earlier release recorded it
                    raise ElspethError(
                        f"a record of {table} holds a text with a NUL byte, which PostgreSQL does not take",
                        details=[f"nothing of run {run_id} was copied"],
                        next_step="copy it into a file, or export it",
                    ) from error
                raise
            count += len(records)
            crash_point("audit.in_copy")
            if count % SAID == 0:
                notify(f"{table}: {count:,} records")


def _insert(target: Connection, table: str, columns: tuple[str, ...], records: list[Record]) -> None:
    if is_sqlite(target):
        names = ", ".join(f'"{column}"' for column in columns)
        target.executemany(f"INSERT INTO {table} ({names}) VALUES ({', '.join('?' * len(columns))})", records)
        return
    if table in STORED:
        types = [*column_types(STORED[table]).values(), WHOLE]
        made = typed(STORED[table], [record[:-1] for record in records])
        records = [(*record, held[-1]) for record, held in zip(made, records, strict=True)]
    else:
        types = [type_of(column) for column in columns]
    postgres(target).copy(table, columns, types, records)


def type_of(column: str) -> str:
    """The type of a column of a table that is stored as it is read."""
    if column in INTEGERS | _COUNTS:
        return WHOLE
    return FLOAT if column in FLOATS else BYTES if column in BLOBS else TEXT


def require_copied(target: Connection, run_id: str, head: Head, key: bytes | None, where: str) -> None:
    """Raise `ElspethError` unless the run, as the open transaction sees it, holds, and has this head."""
    require_evidence(list(findings(target, run_id, key if head.signed else None, alone=True)), run_id, where)
    assert head_of(target, run_id) == head


def _columns(table: str) -> tuple[str, ...]:
    if table in STORED:
        return (*STORED[table].columns, "commit_no")
    return ("run_id", "name_no", "name") if table == NAMES else columns_of(table)


def _key(table: str) -> tuple[str, ...]:
    if table == NAMES:
        return "run_id", "name_no"
    if table in CHAIN:
        return "run_id", *CHAIN[table][: 2 if table == "commit_tables" else 1]
    if table in STORED or table in RANGED or table == "runs":
        return key_columns(table)
    return "run_id", *key_columns(table)


def _pieces(origin: AuditReader, run_id: str, table: str, columns: tuple[str, ...]) -> Iterator[list[Record]]:
    """The records of a run in one table, in key order, so many at a time that memory does not grow with the run."""
    key = _key(table)
    places = [columns.index(column) for column in key]
    names, order = (", ".join(f'"{column}"' for column in found) for found in (columns, key))
    if key[0] == "run_id":
        where, bounds = "run_id = ?", [run_id]
    else:
        where, bounds = f'"{key[0]}" >= ? AND "{key[0]}" < ?', [run_id, run_id + "~"]
    behind, last = "", list[Any]()
    while True:
        query = f"SELECT {names} FROM {table} WHERE {where}{behind} ORDER BY {order} LIMIT {PIECE}"
        with database.translated_errors(origin.path):
            records = origin.connection.execute(query, (*bounds, *last)).fetchall()
        if not records:
            return
        behind = f" AND ({order}) > ({', '.join('?' * len(key))})"
        last = [records[-1][place] for place in places]
        if table in STORED and not is_sqlite(origin.connection):
            made = untyped(STORED[table], [record[:-1] for record in records])
            records = [(*record, held[-1]) for record, held in zip(made, records, strict=True)]
        yield records
        if len(records) < PIECE:
            return
