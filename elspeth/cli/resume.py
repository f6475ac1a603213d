"""`elspeth resume`: continue a run that was interrupted or died."""

from __future__ import annotations

import os
from pathlib import Path

import click

from elspeth.audit.locate import locate
from elspeth.cli import output
from elspeth.cli.attempt import carry_out, close
from elspeth.cli.logs import Log
from elspeth.cli.outcome import SHAPE
from elspeth.cli.run import files_of
from elspeth.cli.shared import Asked, Examples, database_option, dotenv_option, json_option, pass_asked, reason_option
from elspeth.errors import EXIT_OK
from elspeth.runs import resume


@click.command(
    "resume",
    cls=Examples,
    epilog="""
        elspeth resume latest
        elspeth resume mf3k2a9x --database runs/audit.db
        elspeth resume mf3k2a9x --set concurrency.max_workers=1
    """,
)
@click.argument("run_id", metavar="RUN_ID")
@click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE",
    help="Set what cannot change results (concurrency, supervisor, checkpoint, retry, rate_limit).",
)  # fmt: skip
@click.option(
    "--settings", type=click.Path(path_type=Path), metavar="FILE",
    help="Refuse, with exit code 6, if this file differs from what the run was started with.",
)  # fmt: skip
@click.option(
    "--working-directory", type=click.Path(path_type=Path), metavar="DIR",
    help="Where relative paths count from, if the recorded folder is elsewhere here.",
)  # fmt: skip
@click.option("--take-over", is_flag=True, help="Continue on copies of the outputs although a frozen process has them.")
@click.option("--accept-changed-code", is_flag=True, help="Go on although plugins or Elspeth changed; it is recorded.")
@click.option("--fail-on-rows", is_flag=True, help="Exit with 10 if rows were quarantined, discarded or failed.")
@reason_option
@database_option
@dotenv_option
@json_option
@pass_asked
def command(
    asked: Asked, run_id: str, assignments: tuple[str, ...], settings: Path | None, working_directory: Path | None,
    take_over: bool, accept_changed_code: bool, fail_on_rows: bool, reason: str | None,
) -> int:  # fmt: skip
    """Continue a run at its next unread row, with the settings stored in the audit database.

    RUN_ID is a run's id, the beginning of one, or `latest`. Everything is checked before anything is written; a run
    that is complete is left alone.
    """
    asked.shape = SHAPE
    log = Log(asked.log_format)
    options = resume.ResumeOptions(
        set=assignments,
        settings=settings.absolute() if settings else None,
        working_directory=working_directory,
        take_over=take_over,
        accept_changed_code=accept_changed_code,
        dotenv=asked.dotenv,
        reason=reason,
    )
    database = locate(asked.database, os.environ, Path.cwd())
    found = resume.prepare(database, run_id, options, tell=log.say)
    asked.run_id = found.run.run_id
    if found.pipeline is None:
        return _already(asked, found)
    for note in found.notes:
        log.say(note, "warning")
    result = carry_out(
        asked,
        found.pipeline,
        found.run.run_id,
        found.database,
        lambda watch, on_output: resume.execute(
            found, watch=watch, on_output=on_output, log_format=asked.log_format, log_level=asked.log_level
        ),
        attempt=found.run.attempt + 1,
        files=files_of(found.pipeline, found.checkpoint["sinks"]),
        took_over=take_over and not found.standing.verdict.dead,
        notes=found.notes,
        fail_on_rows=fail_on_rows,
    )
    return close(asked, result)


def _already(asked: Asked, found: resume.Resumption) -> int:
    run = found.run
    if asked.json:
        output.result_json(
            SHAPE | {
                "status": "completed", "run_id": run.run_id, "database": str(found.database), "exit_code": EXIT_OK,
                "rows": 0,
            }
        )  # fmt: skip
    else:
        output.result(f"Run {run.run_id} is complete already, since {run.completed_at}. Nothing was done.")
    return EXIT_OK
