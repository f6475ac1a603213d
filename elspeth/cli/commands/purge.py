"""`elspeth purge`: forget the row data of finished runs, or whole runs; hashes and the chain stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context, reason_option
from elspeth.cli.references import require_run
from elspeth.errors import EXIT_FAILED, EXIT_OK, RunInProgress


@click.command(
    "purge",
    cls=Examples,
    epilog="""
        elspeth purge --older-than 90d --dry-run
        elspeth purge --older-than 90d --reason "retention policy"
        elspeth purge --run mf3k2a9x --whole --reason "erasure request 17"
    """,
)
@click.option(
    "--older-than",
    metavar="AGE",
    help="Runs that ended longer ago than this: 90d, 12h; left out, than each run's payload_store.retention_days.",
)
@click.option("--retention-days", type=click.IntRange(0), metavar="N", help="The same in days.")
@click.option("--run", "reference", metavar="RUN_ID", shell_complete=completion.runs(), help="This run.")
@click.option("--whole", is_flag=True, help="Remove everything about rows, hashes too, and leave the run's record.")
@click.option("--dry-run", is_flag=True, help="Say what would be purged; purge nothing.")
@click.option("--yes", is_flag=True, expose_value=False, help="Accepted: nothing is asked anyway.")
@reason_option
@database_option
@json_option
@pass_context
def command(
    context: CliContext,
    older_than: str | None,
    retention_days: int | None,
    reference: str | None,
    whole: bool,
    dry_run: bool,
    reason: str | None,
) -> int:
    """Remove row data from the audit database and the payload store, and give the room back.

    Hashes and the story stay, so that `explain` says "no longer kept" and `verify` still passes. A run that has not
    finished is never touched. Outputs, exports and journal files are not the database's: they stay where they are.
    """
    from elspeth.audit.query.locate import locate
    from elspeth.audit.query.reader import AuditReader
    from elspeth.audit.store.place import PostgresPlace
    from elspeth.runs.operate import purge
    from elspeth.runs.operate.room import bytes_of

    if [older_than, retention_days, reference].count(None) < 2:
        raise click.UsageError("give one of --older-than AGE, --retention-days N and --run RUN_ID")
    if retention_days is not None:
        older_than = f"{retention_days}d"
    require_run(reference or "")
    path = locate(context.database, os.environ, Path.cwd())
    span = purge.age(older_than) if older_than is not None else None
    with AuditReader(path) as reader:
        found = purge.candidates(reader, reference=reference, older_than=span, whole=whole)
    refused = [candidate for candidate in found if candidate.refusal]
    if reference is not None and refused and not dry_run:
        context.run_id = refused[0].run.run_id
        raise RunInProgress(
            f"run {context.run_id} {refused[0].refusal}", next_step=f"elspeth resume {context.run_id}",
            details=["nothing was purged: only finished runs are"],
        )  # fmt: skip
    before = bytes_of(path)
    done: list[dict[str, Any]] = []
    for candidate in found:
        if candidate.refusal:
            output.message(f"Run {candidate.run.run_id} {candidate.refusal}: left alone.")
            continue
        value: dict[str, Any] = {"run_id": candidate.run.run_id, "rows": candidate.rows,
                                 "ended_at": candidate.run.completed_at, "reasons_kept": candidate.reasons}  # fmt: skip
        if not dry_run:
            purged = purge.purge(path, candidate.run, whole=whole, reason=reason)
            value |= {"payloads": purged.payloads, "payloads_kept": purged.kept, "tails": purged.tails}
        done.append(value)
        if not context.json:
            output.result(_sentence(value, whole=whole, dry_run=dry_run))
    freed = before - bytes_of(path)
    if context.json:
        output.result_json(
            {"database": str(path), "dry_run": dry_run, "whole": whole, "runs": done, "freed_bytes": freed,
             "left_alone": [candidate.run.run_id for candidate in refused], "exit_code": EXIT_OK}
        )  # fmt: skip
    elif not done:
        output.result("There is nothing to purge.")
    elif not dry_run and isinstance(path, PostgresPlace):
        output.result(f"The server gives the room in {path} to what comes next, once it has vacuumed.")
    elif not dry_run:
        output.result(f"{path} is {output.size(max(freed, 0))} smaller.")
    return EXIT_FAILED if reference is not None and refused else EXIT_OK


def _sentence(value: dict[str, Any], *, whole: bool, dry_run: bool) -> str:
    what = "everything about" if whole else "the data of"
    verb = "Would remove" if dry_run else "Removed"
    words = f"{verb} {what} {output.count(value['rows'], 'row')} of run {value['run_id']}, ended {value['ended_at']}"
    if value.get("payloads"):
        words += f", and {output.count(value['payloads'], 'payload')}"
    if value.get("tails"):
        words += f", and {output.count(value['tails'], 'copy of a cut tail', 'copies of cut tails')}"
    if value.get("payloads_kept"):
        words += f"; {output.count(value['payloads_kept'], 'payload')} stay, for another run may need them"
    words += "."
    if value["reasons_kept"]:
        why, stay = output.count(value["reasons_kept"], "reason"), "would stay" if dry_run else "stay"
        words += (
            f"\n  {why} why the source refused a row {stay}, and may quote a value of it: "
            "the chain of evidence covers them. --whole removes them, too."
        )
    return words
