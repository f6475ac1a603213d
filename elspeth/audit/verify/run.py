"""Verifies a run's evidence: recomputes everything that the audit database claims about it, and names what differs.

Files are not looked at here. What is read is one snapshot; each table is read once, front to back.
"""

from __future__ import annotations

import hmac
import sqlite3
from collections.abc import Iterator
from typing import Any

from elspeth.audit import chain
from elspeth.audit.purge import ABOUT_ROWS, PURGE, REMOVE, last_action
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database, schema, state_events
from elspeth.audit.store.records import FIXED
from elspeth.audit.verify import consistency
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.table import NAMED, RANGED, TableVerifier, settle_moves
from elspeth.errors import RunNotFound


def verify_run(reader: AuditReader, run_id: str, key: bytes | None = None, *, alone: bool = False) -> list[Discrepancy]:
    """Everything about this run (an exact id) that does not hold; an empty list means that all of it does.

    With the signing `key`, signatures are checked, and the head of a run that has ended must carry one. `alone`: the
    other runs of the database are not there (an export). Raises `RunNotFound`, and `Temporary`
    or `ElspethError` where the database cannot be read.
    """
    run = reader.run(run_id)
    if run.run_id != run_id:
        raise RunNotFound(f"Run not found: {run_id!r}", details=[f"{run.run_id!r} begins so"])
    connection = reader.connection
    with database.worded(reader.path):
        connection.execute("BEGIN")
        try:
            return list(_findings(connection, run_id, key, alone))
        finally:
            connection.execute("ROLLBACK")


def _findings(connection: sqlite3.Connection, run_id: str, key: bytes | None, alone: bool) -> Iterator[Discrepancy]:
    differences = schema.differences(connection)
    yield from (Discrepancy("schema", sentence) for sentence in differences)
    if any("missing" in sentence or "altered" in sentence for sentence in differences):
        return  # the queries below would fail on it
    yield from _links(connection, run_id, key)
    if not alone:
        yield from _origin(connection, run_id)
    purged_before = last_action(connection, run_id, PURGE)
    removed = last_action(connection, run_id, REMOVE) > 0
    recounts = [
        TableVerifier(connection, run_id, table, purged_before=purged_before)
        for table in FIXED
        if not (removed and table in ABOUT_ROWS)
    ]
    for recount in recounts:
        try:
            yield from recount.run()
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            yield Discrepancy("changed", f"{recount.table} holds text that is not UTF-8: {error}", recount.table)
    yield from settle_moves(recounts)
    yield from _strangers(connection)
    yield from _state(connection, run_id)
    if removed:
        yield from _left(connection, run_id)
    else:
        yield from consistency.findings(connection, run_id)


def _links(connection: sqlite3.Connection, run_id: str, key: bytes | None) -> Iterator[Discrepancy]:
    """Each commit follows the one before it, and its digest is the digest of what stands in the two chain tables."""
    parts = connection.execute(
        "SELECT commit_no, table_name, record_count, digest, marks, purgeable_digest, purgeable_marks"
        " FROM commit_tables WHERE run_id = ? ORDER BY commit_no, table_name",
        (run_id,),
    )
    part = parts.fetchone()
    expected, previous, newest, reported = 0, None, 0, 0
    last: tuple[Any, ...] | None = None
    for row in connection.execute(
        "SELECT commit_no, attempt, previous_digest, digest, record_count, committed_at, signature FROM commits"
        " WHERE run_id = ? ORDER BY commit_no",
        (run_id,),
    ):
        number, attempt, before, digest, count, at, signature = last = row
        if not isinstance(number, int):
            yield Discrepancy("chain", f"a commit carries the number {number!r}", "commits")
            continue
        tables = []
        while part is not None and (not isinstance(part[0], int) or part[0] <= number):
            if part[0] == number:
                tables.append(chain.TableDigest(*part[1:]))
            else:
                yield Discrepancy(
                    "chain", f"commit_tables names commit {part[0]!r}, which does not exist", "commit_tables"
                )
            part = parts.fetchone()
        wrong = None
        if number != expected:
            wrong = f"commit {expected} is missing: commit {number} stands in its place"
        elif previous is not None and before != previous:
            wrong = f"commit {number} does not follow commit {number - 1}: one of them was changed"
        elif not isinstance(attempt, int) or attempt < newest:
            wrong = f"commit {number} belongs to attempt {attempt!r}, after one of attempt {newest}"
        elif digest != _digest(before, run_id, attempt, number, at, tables):
            wrong = f"commit {number} is not what was written: its digest does not match"
        elif count != sum(table.record_count for table in tables):
            wrong = f"commit {number} claims {count!r} records, its tables {sum(t.record_count for t in tables)}"
        if wrong and reported < NAMED:
            reported += 1
            yield Discrepancy("chain", wrong, "commits", None, number)
        if signature is not None and key is not None:
            right = chain.signature(key, run_id, number, digest)
            if not (isinstance(signature, str) and hmac.compare_digest(right.encode(), signature.encode())):
                yield Discrepancy("signature", f"commit {number} is not signed with this key", "commits", None, number)
        expected, previous, newest = number + 1, digest, attempt if isinstance(attempt, int) else newest
    if part is not None:
        yield Discrepancy("chain", f"commit {part[0]!r} is missing: only its tables are left", "commits", None, None)
    status = connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()[0]
    if last is None:
        yield Discrepancy("chain", f"run {run_id} has no commits: its chain was removed", "commits")
    elif key is not None and last[-1] is None and status != "running":
        yield Discrepancy(
            "signature", f"the head of the chain, commit {last[0]}, is not signed", "commits", None, last[0]
        )


def _digest(
    before: Any, run_id: str, attempt: int, number: int, at: Any, tables: list[chain.TableDigest]
) -> str | None:
    try:
        return chain.digest_commit(before, run_id, attempt, number, at, tables)
    except (TypeError, ValueError):
        return None  # values of types that no commit ever had


def _origin(connection: sqlite3.Connection, run_id: str) -> Iterator[Discrepancy]:
    """Each run's first commit follows the head that another run had at that time, or nothing at all."""
    wanted: dict[str, str] = {}
    first: list[str] = []
    for digest, follower in connection.execute("SELECT previous_digest, run_id FROM commits WHERE commit_no = 0"):
        wanted.setdefault(digest, follower)
        if digest == chain.GENESIS:
            first.append(follower)
    if len(first) > 1:
        yield Discrepancy("chain", f"{len(first)} runs claim to be the first: {', '.join(first)}", "commits", None, 0)
    wanted.pop(chain.GENESIS, None)
    if wanted:
        for (digest,) in connection.execute("SELECT digest FROM commits"):
            wanted.pop(digest, None)
            if not wanted:
                break
    for follower in sorted(wanted.values()):
        about = "this run" if follower == run_id else f"run {follower}"
        yield Discrepancy(
            "chain",
            f"the commit that {about} follows is gone: a run before it was removed or rewritten",
            "commits",
            None,
            0,
        )


def _left(connection: sqlite3.Connection, run_id: str) -> Iterator[Discrepancy]:
    """Records about rows of a run that was removed as a whole."""
    for table in ABOUT_ROWS:
        key = FIXED[table][0]
        row = connection.execute(
            f"SELECT {key} FROM {table} WHERE {key} >= ? AND {key} < ? LIMIT 1", (run_id, run_id + "~")
        ).fetchone()
        if row:
            yield Discrepancy(
                "added", f"{table} {row[0]} is there, though run {run_id} was removed", table, str(row[0])
            )


def _strangers(connection: sqlite3.Connection) -> Iterator[Discrepancy]:
    """Records whose keys or run ids belong to no run of this database."""
    runs = [run_id for (run_id,) in connection.execute("SELECT run_id FROM runs ORDER BY run_id")]
    # The gaps between the key ranges of the runs: an index seek each, however large the tables are.
    gaps = list(zip(["", *(run_id + "~" for run_id in runs)], [*runs, None], strict=True))
    for table in RANGED:
        key = FIXED[table][0]
        for low, high in gaps:
            where, values = (f"{key} >= ? AND {key} < ?", (low, high)) if high else (f"{key} >= ?", (low,))
            row = connection.execute(f"SELECT {key} FROM {table} WHERE {where} LIMIT 1", values).fetchone()
            if row:
                yield Discrepancy("added", f"{table} {row[0]!r} belongs to no run", table, str(row[0]))
    for table in ("run_attempts", "nodes", "edges", "commits", "commit_tables"):
        row = connection.execute(
            f"SELECT run_id FROM {table} WHERE run_id NOT IN (SELECT run_id FROM runs) LIMIT 1"
        ).fetchone()
        if row:
            yield Discrepancy("added", f"{table} has records of {row[0]!r}, which is no run", table, str(row[0]))


def _state(connection: sqlite3.Connection, run_id: str) -> Iterator[Discrepancy]:
    """The columns that change are what the chained events say they are."""
    run: dict[str, Any] = {}
    attempts: dict[int, dict[str, Any]] = {}
    for detail, event_id in connection.execute(
        "SELECT detail, event_id FROM supervision_events WHERE run_id = ? AND child IS NULL"
        " ORDER BY commit_no, event_id",
        (run_id,),
    ):
        changes = state_events.changes_of(detail)
        try:
            if changes is not None:
                state_events.apply(changes, run, attempts)
        except (AttributeError, TypeError, ValueError):
            yield Discrepancy("state", f"event {event_id} cannot be read", "supervision_events", event_id)
    columns = ", ".join(state_events.RUN_STATE)
    row = connection.execute(f"SELECT {columns} FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    yield from _differing("runs", run_id, state_events.RUN_STATE, row, run)
    columns = ", ".join(state_events.ATTEMPT_STATE)
    for number, *values in connection.execute(
        f"SELECT attempt, {columns} FROM run_attempts WHERE run_id = ? ORDER BY attempt", (run_id,)
    ):
        name = f"{run_id} attempt {number}"
        yield from _differing("run_attempts", name, state_events.ATTEMPT_STATE, values, attempts.get(number, {}))


def _differing(
    table: str, name: str, columns: tuple[str, ...], found: Any, told: dict[str, Any]
) -> Iterator[Discrepancy]:
    for column, value in zip(columns, found, strict=True):
        if value != told.get(column) or type(value) is not type(told.get(column)):
            yield Discrepancy(
                "state", f"{table}.{column} of {name} is {value!r}, its events say {told.get(column)!r}", table, name
            )
