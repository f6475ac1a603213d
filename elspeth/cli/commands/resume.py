"""`elspeth resume`: continue a run that was interrupted or died.

What does it is in `resume_action`, imported while the process that children are forked from imports its own.
"""

from __future__ import annotations

from pathlib import Path

import click

from elspeth.cli import completion
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
from elspeth.cli.shared_options import resumed_assignments_option
from elspeth.runs.lifecycle.fork_server import fork_server


@click.command(
    "resume",
    cls=Examples,
    epilog="""
        elspeth resume latest
        elspeth resume mf3k2a9x --database runs/audit.db
        elspeth resume mf3k2a9x --set concurrency.max_workers=1
    """,
)
@click.argument("run_id", metavar="RUN_ID", shell_complete=completion.runs(unfinished=True))
@resumed_assignments_option
@click.option(
    "--settings", "-s", type=click.Path(path_type=Path), metavar="FILE",
    help="Refuse, with exit code 6, if this file differs from what the run was started with.",
)  # fmt: skip
@click.option(
    "--working-directory", type=click.Path(path_type=Path), metavar="DIR",
    help="Where relative paths count from, if the recorded folder is elsewhere here.",
)  # fmt: skip
@click.option("--execute", "-x", is_flag=True, expose_value=False, help="Resume it: as without this option.")
@click.option("--take-over", is_flag=True, help="Continue on copies of the outputs although a frozen process has them.")
@click.option("--accept-changed-code", is_flag=True, help="Go on although plugins or Elspeth changed; it is recorded.")
@fail_on_rows_option
@allow_all_failed_option
@reason_option
@database_option
@dotenv_option
@json_option
@pass_context
def command(
    context: CliContext, run_id: str, assignments: tuple[str, ...], settings: Path | None,
    working_directory: Path | None, take_over: bool, accept_changed_code: bool, fail_on_rows: bool, reason: str | None,
) -> int:  # fmt: skip
    """Continue a run at its next unread row, with the settings stored in the audit database.

    RUN_ID is a run's id, the beginning of one, or `latest`. Everything is checked before anything is written; a run
    that is complete is left alone.
    """
    with fork_server() as children:
        from elspeth.cli.commands.resume_action import resume

        return resume(
            context, run_id, assignments, children, settings=settings, working_directory=working_directory,
            take_over=take_over, accept_changed_code=accept_changed_code, fail_on_rows=fail_on_rows, reason=reason,
        )  # fmt: skip
