"""`elspeth verify`: recompute the evidence of a run, or of an export, and name what does not hold."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from elspeth.audit.chain.signing import SIGNING_KEY
from elspeth.audit.verify.findings import Discrepancy
from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.references import missing
from elspeth.errors import EXIT_FAILED, EXIT_IN_PROGRESS, EXIT_OK, SettingsError

if TYPE_CHECKING:
    from elspeth.audit.query.reader import AuditReader
    from elspeth.audit.query.values import Run

_WHAT = {
    "schema": "the database's structure was altered",
    "integrity": "the database is damaged",
    "chain": "the chain of commits is broken",
    "signature": "a signature does not hold",
    "unfinished": "it has no signed end",
    "changed": "a record was changed",
    "added": "a record was added",
    "removed": "a record was removed",
    "moved": "a record was moved",
    "state": "a run's state was changed by hand, past Elspeth",
    "hash": "data does not have the hash recorded beside it",
    "reference": "a record names another that does not exist",
    "account": "the accounts of the run do not add up",
    "output": "an output was tampered with",
    "payload": "the payload store does not hold what was written",
    "export": "the export was tampered with",
    "journal": "the journal was tampered with, or damaged",
}


@click.command(
    "verify",
    cls=Examples,
    epilog="""
        elspeth verify latest --outputs
        elspeth verify evidence/            (a folder that elspeth export wrote; needs no database)
        elspeth verify runs/audit.mf3k2a9x.jsonl       (a journal; needs no database)
    """,
)
@click.argument("target", metavar="RUN_ID|FOLDER|JOURNAL", shell_complete=completion.runs())
@click.option("--outputs", is_flag=True, help="Compare the outputs with what was recorded of them, too.")
@database_option
@json_option
@pass_context
def command(context: CliContext, target: str, outputs: bool) -> int:
    """Recompute everything that the audit database claims about a run; exit 1 if anything does not hold.

    With ELSPETH_SIGNING_KEY in the environment, all of the chain must be signed, and the run must have an end: one that
    is alive is said to be unfinished (exit 3).
    """
    folder = Path(target)
    words = os.environ.get(SIGNING_KEY)
    key = words.encode() if words else None
    if os.sep in target or "." in target or folder.is_dir() or folder.is_file():
        if not os.path.lexists(folder):
            raise missing(folder)
        if outputs:
            raise SettingsError("--outputs needs the run's own database", next_step="elspeth verify RUN_ID --outputs")
        one_file = folder.exists() and not folder.is_dir()
        return _journal(context, folder, key) if one_file else _export(context, folder, key)
    return _run(context, target, key, outputs)


def _export(context: CliContext, folder: Path, key: bytes | None) -> int:
    from elspeth.audit.verify import exported

    manifest = exported.read_manifest(folder)
    facts = {
        "run_id": manifest["run_id"], "export": str(folder), "exported_at": manifest.get("exported_at"),
        "head": manifest["head"], "records": _count(manifest),
        "signature": _signature(key, manifest.get("signature")),
    }  # fmt: skip
    verdict = exported.verify_export(folder, key)
    notes = [verdict.note] if verdict.note and not verdict.findings else []
    return _render(context, facts, verdict.findings, notes, f"the export {folder} of run {facts['run_id']}")


def _journal(context: CliContext, path: Path, key: bytes | None) -> int:
    from elspeth.audit.verify.journal import verify_journal

    verdict = verify_journal(path, key)
    notes = [f"{verdict.behind:,} bytes behind the last commit belong to none."] if verdict.behind else []
    if key is not None and not verdict.findings:
        notes += [run.note for run in verdict.runs.values() if run.note]
    last, runs = list(verdict.runs.values())[-1], sorted(verdict.runs)
    facts = {
        "journal": str(path), "runs": runs, "records": sum(run.records for run in verdict.runs.values()),
        "head": {"commit_no": last.commit_no, "digest": last.digest, "signature": last.signature},
        "signature": _signature(key, last.signature),
    }  # fmt: skip
    return _render(context, facts, verdict.findings, notes, f"the journal {path} of run {', '.join(runs)}")


def _count(manifest: dict[str, Any]) -> int:
    return sum(facts.get("records", 0) for facts in manifest["files"].values() if isinstance(facts, dict))


def _run(context: CliContext, reference: str, key: bytes | None, outputs: bool) -> int:
    from elspeth.audit import purge
    from elspeth.audit.query.locate import locate
    from elspeth.audit.query.reader import AuditReader
    from elspeth.audit.verify.links import held_by_later
    from elspeth.audit.verify.outputs import check_outputs, payload_findings
    from elspeth.audit.verify.run import verify_run

    path = locate(context.database, os.environ, Path.cwd())
    with AuditReader(path) as reader:
        run = reader.run(reference)
        context.run_id = run.run_id
        findings = verify_run(reader, run.run_id, key)
        if not any(finding.kind == "schema" for finding in findings):
            findings += payload_findings(reader.connection, run.run_id)
        notes = []
        held: dict[str, bool] = {}

        def holds(later: str) -> bool:
            if later not in held:
                found = verify_run(reader, later, key)
                held[later] = all(finding.kind == "unfinished" for finding in found)
            return held[later]

        for checked in check_outputs(reader.connection, run.run_id, holds) if outputs else ():
            findings += [checked.finding] if checked.finding else []
            notes += [] if checked.finding else [checked.sentence]
        if findings and purge.was_interrupted(reader.connection, run.run_id):
            notes.append(f"A purge of run {run.run_id} was begun and did not come to its end: repeat it, then verify.")
        if key is not None and not findings and (note := held_by_later(reader.connection, run.run_id)):
            notes.append(note)
        alive = _alive(reader, run) if [finding.kind for finding in findings] == ["unfinished"] else None
        heads = reader.commits(run.run_id, 1)
        (records,) = reader.connection.execute(
            "SELECT coalesce(sum(record_count), 0) FROM commits WHERE run_id = ?", (run.run_id,)
        ).fetchone()
    head = heads[0] if heads else None
    facts = {
        "run_id": run.run_id, "database": str(path), "status": run.status,
        "head": {"commit_no": head.commit_no, "digest": head.digest, "signature": head.signature} if head else None,
        "records": records, "signature": _signature(key, head.signature if head else None),
    }  # fmt: skip
    if alive is not None:
        return _unfinished(context, facts, alive)
    return _render(context, facts, findings, notes, f"run {run.run_id}")


def _alive(reader: AuditReader, run: Run) -> str | None:
    """What says that a process drives the run just now, None if none does."""
    from elspeth.runs.liveness.run_assessment import assessment

    verdict = assessment(reader, run, patience=0).verdict
    return verdict.sentence if verdict.state in ("alive", "frozen") else None


def _unfinished(context: CliContext, facts: dict[str, Any], alive: str) -> int:
    head = facts["head"]
    if context.json:
        value = {**facts, "holds": None, "exit_code": EXIT_IN_PROGRESS, "notes": [alive], "findings": []}
        output.result_json(value)
        return EXIT_IN_PROGRESS
    output.result(
        f"{output.styled('Unfinished:', 'yellow')} Run already in progress: run {facts['run_id']} is alive ({alive});"
        f" it holds as far as commit {head['commit_no']}, head {head['digest'][:12]}; verify it when it has ended"
    )
    return EXIT_IN_PROGRESS


def _signature(key: bytes | None, found: object) -> str:
    if found is None:
        return "not signed"
    return f"signed; not checked, since {SIGNING_KEY} is not set" if key is None else "signed, and checked"


def _render(
    context: CliContext, facts: dict[str, Any], findings: list[Discrepancy], notes: list[str], what: str
) -> int:
    code = EXIT_FAILED if findings else EXIT_OK
    if context.json:
        value = {**facts, "holds": not findings, "exit_code": code, "notes": notes}
        output.result_json(value | {"findings": [dataclasses.asdict(finding) for finding in findings]})
        return code
    head = facts["head"]
    for note in notes:
        output.result(note)
    if findings:
        first = findings[0]
        output.result(f"{output.styled('Does not hold:', 'red')} {what}: {_WHAT[first.kind]}")
        for finding in findings:
            output.result(f"  {finding.sentence}{_place(finding)}")
        return code
    signed = f"; {facts['signature']}"
    output.result(
        f"{output.styled('Holds:', 'green')} {what}: {head['commit_no'] + 1:,} commits,"
        f" {output.count(facts['records'], 'record')}, head {head['digest'][:12]}{signed}"
    )
    return code


def _place(finding: Discrepancy) -> str:
    """The commit, where the sentence does not name it."""
    if finding.commit_no is None or f"commit {finding.commit_no}" in finding.sentence:
        return ""
    return f" (commit {finding.commit_no})"
