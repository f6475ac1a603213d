"""What `elspeth resume` does: checks everything, then drives one more attempt."""

from __future__ import annotations

import os
from pathlib import Path

from actors.places.local.fork_server import ForkServer
from elspeth.audit.query.locate import locate
from elspeth.audit.query.reader import LATEST
from elspeth.cli import output
from elspeth.cli.context import CliContext
from elspeth.cli.loading import checked_by
from elspeth.cli.references import require_run
from elspeth.cli.view.already_done import already
from elspeth.cli.view.logs import Log
from elspeth.cli.view.result import SHAPE
from elspeth.cli.view.run_view import further
from elspeth.runs.lifecycle.resume import ResumeOptions, prepare
from elspeth.settings import SettingsProblems


def resume(
    context: CliContext, run_id: str, assignments: tuple[str, ...], children: ForkServer, *, settings: Path | None,
    working_directory: Path | None, take_over: bool, accept_changed_code: bool, fail_on_rows: bool, reason: str | None,
) -> int:  # fmt: skip
    """Continue the run with children forked from this process. Answers the exit code."""
    context.shape = SHAPE
    options = ResumeOptions(
        set=assignments,
        settings=settings.absolute() if settings else None,
        working_directory=working_directory,
        take_over=take_over,
        accept_changed_code=accept_changed_code,
        dotenv=context.dotenv,
        reason=reason,
    )
    require_run(run_id, for_settings="run")
    database = locate(context.database, os.environ, Path.cwd())
    context.shape = SHAPE | {"database": str(database.absolute())}
    try:
        found = prepare(database, run_id, options, notify=Log(context.log_format).notify)
    except SettingsProblems as error:
        if options.settings is None or {problem.file for problem in error.problems} != {str(options.settings)}:
            raise  # what was stored with the run, not the file given
        raise checked_by(error, options.settings) from None
    context.run_id = found.run.run_id
    if found.pipeline is None:
        code = already(
            context, found.database, found.run, "", fail_on_rows=fail_on_rows, working_directory=working_directory
        )
        if run_id == LATEST and not context.json:
            output.message(
                "It is the latest on record here. A run that was stopped later had not begun: it wrote nothing, and is "
                "started again."
            )
        return code
    return further(context, found, children, fail_on_rows=fail_on_rows)
