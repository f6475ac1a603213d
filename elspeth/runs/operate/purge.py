"""Which finished runs a purge is for, and carrying it out: records through the audit process, then files.

What was kept outside of the database goes too: payloads that no other run refers to, and copies of cut tails.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

from elspeth.audit.explain.payload_reader import bases_of
from elspeth.audit.purge import PURGE, REMOVE, finished, last_action
from elspeth.audit.query.payload_references import references
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.audit.query.verdict import ALL_FAILED, all_failed
from elspeth.audit.store.place import Place
from elspeth.calls.journal.journal import journal_folder
from elspeth.durable import sync_folder, together
from elspeth.errors import ElspethError, SettingsError
from elspeth.payloads import PayloadStore, is_reference
from elspeth.plugins.sources.file_set import stdin_folder
from elspeth.runs.operate.client import operate
from elspeth.runs.operate.migration import bring_forward
from elspeth.settings import effective

_UNITS = {"d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1), "s": timedelta(seconds=1)}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that a purge is about. `refusal` says why nothing of it is purged, as the end of a sentence.

    `reasons` counts why the source refused rows: such a sentence may quote a value, and only `whole` removes it, for
    the chain covers it together with what stays.
    """

    run: Run
    rows: int
    reasons: int
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class Purged:
    """What a purge of one run did beside its records. `kept` counts payloads that are shared with other runs."""

    run_id: str
    payloads: int
    kept: int
    tails: int


def age(text: str) -> timedelta:
    """`90d`, `12h`, `30m` or `5s` as a span of time. Raises `SettingsError`."""
    number, unit = text[:-1], text[-1:]
    if not number.isascii() or not number.isdigit() or unit not in _UNITS:
        raise SettingsError(f"{text!r} is no age", next_step="write --older-than 90d (d days, h hours, m minutes)")
    return int(number) * _UNITS[unit]


def candidates(
    reader: AuditReader,
    *,
    reference: str | None,
    older_than: timedelta | None,
    whole: bool,
    now: datetime | None = None,
) -> list[Candidate]:
    """The runs meant, latest first: the one that is named, or those that ended so long ago.

    Without either, those that ended longer ago than the `payload_store.retention_days` they were started with. Those
    with nothing left to purge are left out. Raises `RunNotFound`.
    """
    if reference is not None:
        run = reader.run(reference)
        return [] if _refusal(run) is None and _done(reader, run, whole) else [_candidate(reader, run, whole)]
    now = now or datetime.now(UTC)
    return [
        _candidate(reader, run, whole)
        for run in reader.runs()
        if (kept := older_than if older_than is not None else retention(run)) is not None
        and now - _time(run.completed_at or run.started_at) > kept
        and not _done(reader, run, whole)
    ]


def retention(run: Run) -> timedelta | None:
    """How long the settings that a run was started with keep its data; None: for ever."""
    days = effective.as_stored(json.loads(run.settings_json))["payload_store"]["retention_days"]
    return None if days is None else timedelta(days=days)


def purge(database: Place, run: Run, *, whole: bool, reason: str | None) -> Purged:
    """Forget the row data of a finished run, or if `whole` everything about its rows. Recorded, with who and why.

    Raises `RunInProgress` if the run has not finished, and what `operate` raises. Interrupted at any moment, it is
    finished by being called again.
    """
    bring_forward(database)
    with AuditReader(database) as reader:
        mine = {reference for _, _, _, reference, _ in references(reader.connection, run.run_id)}
        tails = list(_tails(reader, run))
        whole = whole or last_action(reader.connection, run.run_id, REMOVE) > 0  # what was begun is finished
        # Afterwards nobody can tell any more what the run came to.
        verdict = {ALL_FAILED: all_failed(reader, run.run_id)} if whole else {}
    gone, kept = 0, set[str]()
    # The records that name payloads go last: without them a purge that was interrupted could not find its files again.
    if mine or not whole:
        operate(database, run_id=run.run_id, action=PURGE, reason=reason, changes={}, expected_attempt=run.attempt)
        with AuditReader(database) as reader:
            kept = _still_needed(reader, run, mine)
        gone = _remove(_places(run, mine - kept))
        _remove_leftovers(run)
    if whole:
        operate(
            database, run_id=run.run_id, action=REMOVE, reason=reason, changes={}, detail=verdict,
            expected_attempt=run.attempt,
        )  # fmt: skip
    return Purged(run.run_id, gone, len(kept), _remove([tail] for tail in tails))


def _candidate(reader: AuditReader, run: Run, whole: bool) -> Candidate:
    reasons = 0 if whole else reader.refusal_count(run.run_id)
    return Candidate(run, reader.row_count(run.run_id), reasons, _refusal(run))


def _refusal(run: Run) -> str | None:
    if run.status == "running":
        return "has not finished"
    if run.completed_at is None and run.superseded_by is None:
        return "has not finished: resume it, or give it up with elspeth doctor --mark-failed"
    return None


def _done(reader: AuditReader, run: Run, whole: bool) -> bool:
    """Whether nothing is left to purge; one that was interrupted left something, and one that spared files may have."""
    if not finished(reader.connection, run.run_id, REMOVE):
        if whole or last_action(reader.connection, run.run_id, REMOVE) > 0:
            return False
        if not finished(reader.connection, run.run_id, PURGE):
            return False
    if any(tail.exists() for tail in _tails(reader, run)):
        return False
    if any(_kept(base, run) for base in bases_of(run.settings_json, run.working_directory)):
        return False
    if not any(base.exists() for base in bases_of(run.settings_json, run.working_directory)):
        return True
    mine = {reference for _, _, _, reference, _ in references(reader.connection, run.run_id)}
    here = {reference for reference in mine if any(place.exists() for place in next(_places(run, {reference}), []))}
    return not here - _still_needed(reader, run, here)


def _places(run: Run, references: set[str]) -> Iterator[list[Path]]:
    """Of each reference, the files where its payload may be."""
    stores = [PayloadStore(base) for base in bases_of(run.settings_json, run.working_directory)]
    for reference in filter(is_reference, references):  # anything else could lead to any file
        yield [store.path(reference) for store in stores]


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def _still_needed(reader: AuditReader, run: Run, mine: set[str]) -> set[str]:
    """Payloads that other runs refer to. While a run is under way nobody can tell what it will refer to: then all."""
    needed: set[str] = set()
    for other in reader.runs():
        if other.run_id == run.run_id:
            continue
        if _refusal(other) is not None:
            return mine
        if not last_action(reader.connection, other.run_id, PURGE):
            needed.update(reference for _, _, _, reference, _ in references(reader.connection, other.run_id))
    return mine & needed


def _tails(reader: AuditReader, run: Run) -> Iterator[Path]:
    """The copies of tails that were cut off. What is recorded is believed only where such copies are: in state/cut."""
    folders = {base.parent.resolve() / "cut" for base in bases_of(run.settings_json, run.working_directory)}
    for event in reader.events(run.run_id):
        if event.event == "cut" and event.detail:
            cut = json.loads(event.detail)
            copy = None if cut.get("replaced") else cut.get("copy")  # a file that no run wrote is the user's
            if copy and (path := Path(run.working_directory) / copy).parent.resolve() in folders:
                yield path


def _remove(all_places: Iterable[list[Path]]) -> int:
    """Remove files, and make that durable: the record that says where they were may go next. Answers how many."""
    gone = 0
    folders: set[Path] = set()
    for places in all_places:
        if _unlink(places):
            gone += 1
        folders.update(path.parent for path in places if path.parent.is_dir())
    together(partial(sync_folder, folder) for folder in sorted(folders))
    return gone


def _journals(base: Path, run: Run) -> list[Path]:
    """The journals of calls that a run has left beside this payload store: one that was given up, or its last process
    killed."""
    return sorted(journal_folder(base.parent, run.run_id).glob("*.calls"))


def _kept(base: Path, run: Run) -> list[Path]:
    """What lies beside this payload store for the run alone: journals of calls, and what came by standard input."""
    stdin = stdin_folder(base.parent) / run.run_id
    return _journals(base, run) + ([stdin] if stdin.exists() else [])


def _remove_leftovers(run: Run) -> None:
    """What workers that were killed had begun to write into the payload store holds data of rows; so does what is kept
    beside it."""
    for base in bases_of(run.settings_json, run.working_directory):
        try:
            PayloadStore(base).remove_leftovers()
            for path in _kept(base, run):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise ElspethError(
                f"{error.filename or base} could not be removed: {error.strerror or error}",
                next_step="mend it, then purge again",
            ) from error


def _unlink(places: list[Path]) -> bool:
    found = False
    for path in places:
        try:
            path.unlink()
            found = True
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ElspethError(
                f"{path} could not be removed: {error.strerror or error}", next_step="mend it, then purge again"
            ) from error
    return found
