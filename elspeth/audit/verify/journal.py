"""Verifies a journal without its database: every commit's lines are digested again and held against its last one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from elspeth.audit.chain import digests
from elspeth.audit.chain.layouts import FIRST, NEWEST, Layout, layout_of
from elspeth.audit.export.jsonl import CHAIN, added_later
from elspeth.audit.store.attempts import state_events
from elspeth.audit.verify.findings import Discrepancy
from elspeth.audit.verify.links import held_by, unsigned
from elspeth.audit.verify.table import NAMED, as_digested
from elspeth.errors import ElspethError, NewerVersion
from elspeth.file_identity import open_regular

_decode = msgspec.json.Decoder(dict[str, Any]).decode


@dataclass(slots=True)
class JournaledRun:
    """What a journal says about one run: its last commit there, and how many records and commits it holds of it."""

    run_id: str
    commit_no: int = -1
    digest: str | None = None
    signature: str | None = None
    records: int = 0
    layout: Layout = FIRST
    status: dict[str, Any] = field(default_factory=dict)
    pending: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unsigned: list[int] = field(default_factory=list)
    signed_by: int | None = None

    @property
    def ended(self) -> bool:
        """Whether the run came to its end in this journal."""
        return self.status.get("status") == "completed" or self.status.get("completed_at") is not None

    @property
    def note(self) -> str | None:
        """A sentence about commits that were not signed each, since their layout did not; None without any."""
        if not self.unsigned or self.signed_by is None:
            return None
        return f"Run {self.run_id}: {held_by(self.unsigned[0], self.unsigned[-1], self.signed_by)}"


@dataclass(slots=True)
class JournalVerdict:
    """What was found, the runs that are in the file, and how many bytes stand behind the last commit."""

    findings: list[Discrepancy]
    runs: dict[str, JournaledRun]
    behind: int


def verify_journal(path: Path, key: bytes | None = None) -> JournalVerdict:
    """Everything about a journal that does not hold. With the `key`, every run in it is signed and has an end.

    What stands behind the last commit is what somebody who died left of one; the next attempt cuts it off. Memory is
    that of one commit. Raises `ElspethError` where the file cannot be read, `NewerVersion` where a later release wrote.
    """
    verdict = JournalVerdict([], {}, 0)
    try:
        with open_regular(path) as file:
            for finding in _findings(file, verdict, key):
                if len(verdict.findings) < NAMED:
                    verdict.findings.append(finding)
    except OSError as error:
        raise ElspethError(f"the journal {path} cannot be read: {error.strerror or error}") from None
    if not verdict.runs:
        raise ElspethError(f"{path} is no journal: no commit is in it", next_step="elspeth verify --help")
    for run in verdict.runs.values():
        if key is not None and run.signature is None and run.layout is FIRST:
            what = f"the last commit of run {run.run_id}, {run.commit_no}, is not signed"
            verdict.findings.append(Discrepancy("signature", what, "commits", None, run.commit_no))
        elif key is not None and not run.ended:
            what = (
                f"run {run.run_id} has no end here: a journal that was cut behind commit {run.commit_no} looks the same"
            )
            verdict.findings.append(Discrepancy("unfinished", what, "commits", None, run.commit_no))
    return verdict


def _findings(file: Any, verdict: JournalVerdict, key: bytes | None) -> Iterator[Discrepancy]:
    for place, line in enumerate(file, 1):
        verdict.behind += len(line)
        try:
            value = _decode(line)
            table, run_id = str(value["table"]), str(value["run_id"])
        except (msgspec.DecodeError, KeyError):
            if line.endswith(b"\n"):
                yield Discrepancy("journal", f"line {place} is no record: it starts with {line[:20]!r}")
            continue
        run = verdict.runs.get(run_id)
        if run is None:
            run = verdict.runs[run_id] = JournaledRun(run_id)
        if table == "commits":
            yield from _commit(run, value, key)
            verdict.behind = 0
        elif table in NEWEST.columns:
            run.pending.setdefault(table, []).append(value)
        else:
            yield Discrepancy("journal", f"line {place} names the table {table!r}, which there is not")
    for run_id in [run_id for run_id, run in verdict.runs.items() if run.commit_no < 0]:
        del verdict.runs[run_id]  # nothing of it was committed


def _commit(run: JournaledRun, link: dict[str, Any], key: bytes | None) -> Iterator[Discrepancy]:
    number, named = link.get("commit_no"), link.get("layout")
    if type(named) is int and named > NEWEST.number:
        raise NewerVersion(
            f"commit {number} of run {run.run_id} has layout {named}, this program knows layouts up to {NEWEST.number}",
            next_step="use the newer Elspeth that wrote it",
        )
    pending, run.pending = run.pending, {}
    layout = layout_of(named)
    wrong = None
    if link.keys() | added_later("commits") != {"table", "run_id", *CHAIN["commits"]}:
        wrong = f"what ends commit {number!r} of run {run.run_id} cannot be read"
    elif number != run.commit_no + 1:
        wrong = f"commit {run.commit_no + 1} of run {run.run_id} is missing: commit {number!r} stands in its place"
    elif run.digest is not None and link["previous_digest"] != run.digest:
        wrong = f"commit {number} of run {run.run_id} does not follow commit {number - 1}: one of them was changed"
    elif layout is None or layout.number < run.layout.number:
        wrong = f"commit {number} of run {run.run_id} claims the layout {named!r}, after layout {run.layout.number}"
    elif link["digest"] != _digest(run.run_id, link, pending, layout):
        wrong = f"commit {number} of run {run.run_id} is not what was written: its digest does not match"
    if wrong:
        yield Discrepancy("journal", wrong, "commits", None, number if isinstance(number, int) else None)
    if not isinstance(number, int):
        return
    if key is not None and (
        bad := unsigned(link.get("signature"), layout, key, run.run_id, number, link.get("digest"))
    ):
        yield Discrepancy("signature", f"run {run.run_id}: {bad}", "commits", None, number)
    run.commit_no, run.digest, run.signature = number, link.get("digest"), link.get("signature")
    run.layout = layout or run.layout
    if run.signature is None and layout is FIRST:
        run.unsigned.append(number)
        run.signed_by = None
    elif run.signature is not None and run.signed_by is None:
        run.signed_by = number
    run.records += sum(map(len, pending.values()))
    for event in pending.get("supervision_events", ()):
        changes = state_events.changes_of(event.get("detail")) if event.get("child") is None else None
        if changes:
            run.status.update(changes.get("runs", {}))


def _digest(run_id: str, link: dict[str, Any], pending: dict[str, list[dict[str, Any]]], layout: Layout) -> str | None:
    tables = []
    try:
        for table, values in pending.items():
            columns = NEWEST.columns[table]
            for value in values:
                held = value.keys() | added_later(table)
                if held != {"table", "run_id", "commit_no", *columns} or value["commit_no"] != link["commit_no"]:
                    return None
            records = [tuple(value.get(column) for column in columns) for value in values]
            tables.append(digests.digest_table(table, as_digested(table, records, layout), layout))
        return digests.digest_commit(
            link["previous_digest"], run_id, link["attempt"], link["commit_no"], link["committed_at"], tables, layout
        )
    except (ElspethError, TypeError, ValueError, UnicodeEncodeError):
        return None  # values of types that no commit ever had
