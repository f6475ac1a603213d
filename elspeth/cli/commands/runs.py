"""`elspeth runs`: the runs on record, a line each."""

from __future__ import annotations

import os
from pathlib import Path

import click

from elspeth.audit.query.locate import locate
from elspeth.audit.query.reader import AuditReader
from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, database_option, json_option, pass_context
from elspeth.cli.view.status_style import style_of
from elspeth.errors import EXIT_OK
from elspeth.runs.views.status import Summary, summary

STATUSES = ("running", "completed", "failed", "interrupted")


@click.command(
    "runs",
    cls=Examples,
    epilog="""
        elspeth runs
        elspeth runs --status failed --limit 5
        elspeth runs --database state/audit.db --json
    """,
)
@click.option("--limit", type=click.IntRange(min=1), default=20, show_default=True, help="So many runs, latest first.")
@click.option("--status", "wanted", type=click.Choice(STATUSES), help="Only runs with this status.")
@database_option
@json_option
@pass_context
def command(context: CliContext, limit: int, wanted: str | None) -> int:
    """List the runs on record, latest first, with rows, rate, duration, failures and attempts.

    Numbers are those of each run's latest checkpoint; for a running one, they grow.
    """
    with AuditReader(locate(context.database, os.environ, Path.cwd())) as reader:
        chosen = [run for run in reader.runs() if wanted in (None, run.status)][:limit]
        found = [summary(reader, run) for run in chosen]
        path = reader.path
    if context.json:
        output.result_json({"database": str(path), "runs": [each.to_value() for each in found]})
    elif found:
        head = ["run", "status", "started", "rows", "rows/s", "took", "failures", "attempts"]
        output.result(output.table(head, [_row(each) for each in found], styles={"status": style_of}))
    else:
        output.result(f"{path} holds no {wanted + ' ' if wanted else ''}runs.")
    return EXIT_OK


def _row(found: Summary) -> tuple[object, ...]:
    run, rate = found.run, found.rows_per_second
    failures = ", ".join(f"{count:,} {name}" for name, count in found.troubled.items())
    return (
        run.run_id, shown_status(found), run.started_at[:16].replace("T", " "), found.rows,
        "" if rate is None else f"{rate:,.0f}", output.seconds(found.seconds), failures, run.attempt,
    )  # fmt: skip


def shown_status(found: Summary) -> str:
    """The status on record, and what is true of it where that is another thing."""
    if found.run.superseded_by:
        return f"{found.run.status}, see {found.run.superseded_by}"
    if found.state not in (None, "alive"):
        return f"{found.run.status} ({str(found.state).replace('_', ' ')})"
    return found.run.status
