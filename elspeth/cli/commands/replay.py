"""`elspeth replay`: decide a run again from what is on record of it, and say what comes out otherwise."""

from __future__ import annotations

import os
from pathlib import Path

import click

from elspeth.audit.query.locate import locate
from elspeth.cli import completion, output
from elspeth.cli.context import CliContext, Examples, database_option, dotenv_option, json_option, pass_context
from elspeth.cli.loading import checked_by
from elspeth.cli.references import require_run
from elspeth.cli.view import replay as view
from elspeth.errors import EXIT_FAILED, EXIT_OK
from elspeth.runs.replay.replay import ReplayOptions, replay
from elspeth.settings import SettingsProblems


@click.command(
    "replay",
    cls=Examples,
    epilog="""
        elspeth replay latest
        elspeth replay mf3k2a9x --settings new.yaml      (what would have been decided otherwise?)
        elspeth replay latest --json
    """,
)
@click.argument("reference", metavar="RUN_ID", shell_complete=completion.runs())
@click.option(
    "--settings", "-s", type=click.Path(path_type=Path), metavar="FILE",
    help="Decide the recorded rows by this pipeline file, and tell what would change.",
)  # fmt: skip
@click.option(
    "--working-directory", type=click.Path(path_type=Path), metavar="DIR",
    help="Where the run's files are here, if not in the folder on record.",
)  # fmt: skip
@database_option
@dotenv_option
@json_option
@pass_context
def command(context: CliContext, reference: str, settings: Path | None, working_directory: Path | None) -> int:
    """Decide a run that has ended again: its rows and the answers of services are taken from the record.

    No service is asked, and no output, database or state is written. Exit 0: everything came out as it is on record;
    1: something differs, or would have to be asked anew.
    """
    require_run(reference, for_settings="replay RUN_ID")
    path = locate(context.database, os.environ, Path.cwd())
    options = ReplayOptions(settings, working_directory, context.dotenv)
    try:
        found = replay(path, reference, options)
    except SettingsProblems as error:
        raise (checked_by(error, settings) if settings is not None else error) from None
    context.run_id = found.run_id
    if found.pipeline is not None:
        context.concealment = found.pipeline.loaded.concealment
    code = EXIT_OK if found.same else EXIT_FAILED
    if context.json:
        output.result_json(context.concealment.value({**view.value(found), "database": str(path), "exit_code": code}))
        return code
    for line in view.lines(found):
        output.result(context.concealment.text(line))
    return code
