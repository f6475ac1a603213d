"""Whether a run may be copied into another database, and copying it there."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from elspeth.audit.copying import Head, head_of, is_there
from elspeth.audit.explain.payload_reader import bases_of
from elspeth.audit.query.locate import is_blank
from elspeth.audit.query.payload_references import references
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store import database, schema
from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.errors import RunInProgress, RunNotFound, SettingsError, Temporary
from elspeth.runs.liveness.run_assessment import assessment
from elspeth.runs.operate.client import take_in
from elspeth.runs.operate.migration import alive_in

Notify = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Copied:
    """A run that is in two databases. `head` is its head in the first, `arrived` the commit of the second behind it.

    `already`: it was there before, and nothing was done. `payloads` counts what both name and neither holds: files in
    one of the folders `kept_in`, or gone.
    """

    run_id: str
    head: Head
    arrived: int
    records: int
    already: bool
    payloads: int
    kept_in: list[str]


def copy_run(
    origin: Place, reference: str, target: Place, *, reason: str | None = None, patience: float = 0.0,
    notify: Notify = lambda line: None,
) -> Copied:  # fmt: skip
    """Copy all that is on record of a finished run into another database; what is there already is left as it is.

    Raises `RunNotFound`, `RunInProgress` where the run is not finished, `SettingsError` where both are one database,
    `Temporary` where a run writes to the file that it is to be copied to, and what `take_in` raises.
    """
    try:
        return _copied(origin, reference, target, reason, patience, notify)
    except Temporary as error:
        raise error.then(shlex.join(["elspeth", "copy", reference, "--to", str(target)])) from error


def _copied(
    origin: Place, reference: str, target: Place, reason: str | None, patience: float, notify: Notify
) -> Copied:
    if _same(origin, target):
        raise SettingsError(f"{target} is where the run is already", next_step="name another database with --to")
    with AuditReader(origin) as reader:
        run = reader.run(reference)
        if run.status == "running":
            found = assessment(reader, run, patience=patience, notify=notify)
            if not found.verdict.dead:
                raise found.in_progress("is alive, so it is not copied")
        if run.status == "running" or (run.completed_at is None and run.superseded_by is None):
            raise RunInProgress(
                f"run {run.run_id} has not finished: it can be resumed where it is, so it is not copied",
                next_step=f"elspeth resume {run.run_id}",
            )
        head = head_of(reader.connection, run.run_id)
        named = {reference for _, _, _, reference, _ in references(reader.connection, run.run_id)}
    already = head is not None and _is_there(target, run.run_id, head)
    if not already:
        # A file has one writer: who drives a run there would wait for the whole copy.
        if isinstance(target, Path) and not is_blank(target) and (alive := alive_in(target, None, notify)):
            raise Temporary(
                f"{target} is in use, so nothing is copied into it now",
                details=[f"a run in it is alive: {alive}"],
                next_step="wait for its end, then copy again",
            )
        take_in(target, origin, run_id=run.run_id, reason=reason, notify=notify)
    with AuditReader(target) as reader:
        arrived = next(iter(reader.commits(run.run_id, 1)), None)
        if arrived is None or head is None:
            raise RunNotFound(f"Run not found: {run.run_id} is not in {target}")
        (records,) = reader.connection.execute(
            "SELECT coalesce(sum(record_count), 0) FROM commits WHERE run_id = ? AND commit_no <= ?",
            (run.run_id, head.commit_no),
        ).fetchone()
    bases = bases_of(run.settings_json, run.working_directory) if named else ()
    kept_in = list(dict.fromkeys(str(base.absolute()) for base in bases if base.is_dir())) or [*map(str, bases[:1])]
    return Copied(run.run_id, head, arrived.commit_no, int(records), already, len(named), kept_in)


def _same(one: Place, other: Place) -> bool:
    if isinstance(one, PostgresPlace) or isinstance(other, PostgresPlace):
        return one == other
    return one.exists() and other.exists() and one.samefile(other)


def _is_there(target: Place, run_id: str, head: Head) -> bool:
    if _is_blank(target):
        return False
    with AuditReader(target) as reader:
        return is_there(reader.connection, run_id, head, str(target))


def _is_blank(target: Place) -> bool:
    if isinstance(target, Path):
        return is_blank(target)
    connection = database.open_reader(target)
    try:
        with database.translated_errors(target):
            return schema.is_empty(connection)
    finally:
        connection.close()
