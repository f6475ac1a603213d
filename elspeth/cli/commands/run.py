"""`elspeth run`: check a pipeline and show the plan, or carry it out.

What does it is in `run_action`, imported while the process that children are forked from imports its own.
"""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import click

from elspeth.cli.context import (
    CliContext,
    Examples,
    allow_all_failed_option,
    database_option,
    dotenv_option,
    fail_on_rows_option,
    json_option,
    pass_context,
    reason_option,
)
from elspeth.cli.shared_options import assignments_option
from elspeth.runs.lifecycle.fork_server import fork_server


@click.command(
    "run",
    cls=Examples,
    epilog="""
        elspeth run pipeline.yaml
        elspeth run --settings pipeline.yaml --execute
        elspeth run --settings pipeline.yaml --execute --set concurrency.max_workers=2 --json
    """,
)
@click.argument("file", type=click.Path(path_type=Path), required=False, metavar="[FILE]")
@click.option(
    "--settings", "-s", "option", type=click.Path(path_type=Path), metavar="FILE",
    help="The pipeline file, if it is not given as an argument; ./pipeline.yaml without either.",
)  # fmt: skip
@click.option(
    "--execute", "-x", is_flag=True, help="Run it. Without this, check everything and show what would be done."
)
@click.option(
    "--dry-run", "-n", is_flag=True, help="Check everything and show what would be done: as without --execute."
)
@click.option(
    "--auto-resume", is_flag=True,
    help="Finish this pipeline's unfinished run if there is one; leave a completed one alone while neither settings "
    "nor source changed; else start. For containers that are started again.",
)  # fmt: skip
@click.option(
    "--force-new", is_flag=True, help="Start afresh although an earlier run did not finish; that one is given up."
)
@fail_on_rows_option
@assignments_option
@allow_all_failed_option
@reason_option
@database_option
@dotenv_option
@json_option
@pass_context
def command(
    context: CliContext, file: Path | None, option: Path | None, execute: bool, dry_run: bool,
    auto_resume: bool, force_new: bool, fail_on_rows: bool, assignments: tuple[str, ...], reason: str | None,
) -> int:  # fmt: skip
    """Run a pipeline, or show what running it would do.

    Without --execute everything is checked and the plan is shown; nothing is written. With --execute the command to
    continue the run, should anything stop it, is printed before the first row.
    """
    from elspeth.cli.loading import file_of

    if execute and dry_run:
        raise click.UsageError("--execute and --dry-run exclude each other: leave one of them out")
    with fork_server() if execute else nullcontext() as children:
        from elspeth.cli.commands.run_action import run

        return run(
            context, file_of(file, option), assignments, children, auto_resume=auto_resume, force_new=force_new,
            fail_on_rows=fail_on_rows, reason=reason,
        )  # fmt: skip
