"""Verifies a run's evidence: recomputes everything that the audit database claims about it, and names what differs.

Files are not looked at here. What is read is one snapshot; each table is read once, front to back. Where that takes
long several processes share it: `parts` says what they can share, `shared` how.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from elspeth.audit.chain.records import FIXED, RANGED
from elspeth.audit.connection import Connection
from elspeth.audit.purge import ABOUT_ROWS, REMOVE, last_action
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database, schema
from elspeth.audit.store.attempts import state_events
from elspeth.audit.verify import consistency, links, parts, shared
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.table import NAMED, pair_moves
from elspeth.errors import RunNotFound


def verify_run(
    reader: AuditReader, run_id: str, key: bytes | None = None, *, alone: bool = False, processes: int | None = None
) -> list[Discrepancy]:
    """Everything about this run (an exact id) that does not hold; an empty list means that all of it does.

    With the signing `key`, all of the chain must be signed and have an end. `alone`: the other runs of the database are
    not there (an export). `processes` share the work; unless it is said how many, as many as there are processors do,
    and one does all of a run that is not large. Raises `RunNotFound`, and `Temporary` or `ElspethError` where the
    database cannot be read, or a process that shared the work was killed.
    """
    run = reader.run(run_id)
    if run.run_id != run_id:
        raise RunNotFound(f"Run not found: {run_id!r}", details=[f"{run.run_id!r} begins so"])
    with (
        database.translated_errors(reader.path),
        shared.looking(reader, shared.Task(run_id, key, alone), processes) as look,
    ):
        return list(findings(reader.connection, run_id, key, look, alone=alone))


def findings(
    connection: Connection,
    run_id: str,
    key: bytes | None = None,
    look: shared.Looks | None = None,
    *,
    alone: bool = False,
) -> Iterator[Discrepancy]:
    """What `verify_run` answers, of a run that is there, as the transaction that is open sees it.

    `look` is who looks at its parts: we ourselves, unless somebody shares them.
    """
    look = look or shared.Alone(connection, shared.Task(run_id, key, alone))
    differences = [] if alone else schema.differences(connection)  # an export has no schema of its own
    unusable = any("missing" in sentence or "altered" in sentence for sentence in differences)
    if not unusable:
        look.plan(parts.planned(connection, run_id, alone=alone))
    if not alone:
        yield from look(parts.INTEGRITY).findings
    yield from (Discrepancy("schema", sentence) for sentence in differences)
    if unusable:
        return  # the queries below would fail on it
    yield from look(parts.LINKS).findings
    if not alone:
        yield from links.origin(connection, run_id)
    there = parts.tables(connection, run_id)
    found: dict[str, parts.Found] = {}
    for table in there:
        found[table] = look(parts.records_of(table))
        yield from found[table].findings
    yield from pair_moves((each.lost, each.found) for each in found.values())
    yield from _strangers(connection)
    yield from _state(connection, run_id)
    yield from _attempts(connection, run_id)
    if last_action(connection, run_id, REMOVE) > 0:
        yield from _left(connection, run_id)
    else:
        contents = {table: each.contents for table, each in found.items()}
        yield from consistency.findings(
            connection, run_id, contents, lambda question: look(parts.between(question)).findings
        )
    if key is not None and not alone:  # an export says itself, signed, where it ends
        yield from links.unfinished(connection, run_id)


def _left(connection: Connection, run_id: str) -> Iterator[Discrepancy]:
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


def _strangers(connection: Connection) -> Iterator[Discrepancy]:
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


def _state(connection: Connection, run_id: str) -> Iterator[Discrepancy]:
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


def _attempts(connection: Connection, run_id: str) -> Iterator[Discrepancy]:
    """Attempts are counted from 1, the run's is the last of them, and each began with its own first commit."""
    (current,) = connection.execute("SELECT attempt FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    began = connection.execute(
        "SELECT attempt, commit_no FROM run_attempts WHERE run_id = ? ORDER BY attempt", (run_id,)
    ).fetchall()
    if [number for number, _ in began] != list(range(1, len(began) + 1)) or current != len(began):
        there = ", ".join(str(number) for number, _ in began[:NAMED]) or "none"
        what = f"run {run_id} says that it is in attempt {current!r}; recorded attempts: {there}"
        yield Discrepancy("state", what, "run_attempts", run_id)
    first = connection.execute(
        "SELECT attempt, min(commit_no) FROM commits WHERE run_id = ? GROUP BY attempt ORDER BY attempt", (run_id,)
    ).fetchall()
    for number, commit_no in first:
        if (number, commit_no) not in began:
            what = f"commit {commit_no!r} is the first of attempt {number!r}, which did not begin with it"
            yield Discrepancy("state", what, "commits", None, commit_no if isinstance(commit_no, int) else None)


def _differing(
    table: str, name: str, columns: tuple[str, ...], found: Any, stated: dict[str, Any]
) -> Iterator[Discrepancy]:
    for column, value in zip(columns, found, strict=True):
        if value != stated.get(column) or type(value) is not type(stated.get(column)):
            yield Discrepancy(
                "state", f"{table}.{column} of {name} is {value!r}, its events say {stated.get(column)!r}", table, name
            )
