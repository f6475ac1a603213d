"""`elspeth run`: check a pipeline and show the plan, or carry it out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import click

from elspeth.audit import locate
from elspeth.audit.database import path_of
from elspeth.cli import output, plan
from elspeth.cli.attempt import first, further
from elspeth.cli.complete import already
from elspeth.cli.loading import load
from elspeth.cli.logs import Log
from elspeth.cli.outcome import SHAPE
from elspeth.cli.shared import Asked, Examples, database_option, dotenv_option, json_option, pass_asked, reason_option
from elspeth.errors import EXIT_OK, ElspethError, SettingsError
from elspeth.runs.choose import Done, choose
from elspeth.runs.drive import state_directory
from elspeth.runs.pipeline import Pipeline
from elspeth.runs.resume import Resumption
from elspeth.runs.start import Start


@click.command(
    "run",
    cls=Examples,
    epilog="""
        elspeth run --settings pipeline.yaml
        elspeth run --settings pipeline.yaml --execute
        elspeth run --settings pipeline.yaml --execute --set concurrency.max_workers=2 --json
    """,
)
@click.option(
    "--settings", "settings", type=click.Path(path_type=Path), required=True, metavar="FILE", help="The pipeline file."
)
@click.option("--execute", is_flag=True, help="Run it. Without this, check everything and show what would be done.")
@click.option(
    "--auto-resume", is_flag=True,
    help="Finish this pipeline's unfinished run if there is one; leave a completed one alone while neither settings "
    "nor source changed; else start. For containers that are started again.",
)  # fmt: skip
@click.option(
    "--force-new", is_flag=True, help="Start afresh although an earlier run did not finish; that one is given up."
)
@click.option("--fail-on-rows", is_flag=True, help="Exit with 10 if rows were quarantined, discarded or failed.")
@click.option(
    "--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Set a key in place of the file's value."
)
@reason_option
@database_option
@dotenv_option
@json_option
@pass_asked
def command(
    asked: Asked, settings: Path, execute: bool, auto_resume: bool, force_new: bool, fail_on_rows: bool,
    assignments: tuple[str, ...], reason: str | None,
) -> int:  # fmt: skip
    """Run a pipeline, or show what running it would do.

    Without --execute everything is checked and the plan is shown; nothing is written. With --execute the command to
    continue the run, should anything stop it, is printed before the first row.
    """
    asked.shape = SHAPE
    if auto_resume and force_new:
        raise SettingsError("--auto-resume and --force-new exclude each other", next_step="leave one of them out")
    pipeline = load(settings, asked, assignments)
    database = path_of(pipeline.settings.landscape.url)
    asked.place = None if asked.database or _found_unnamed(database) else str(database.absolute())
    asked.shape = SHAPE | {"database": str(database.absolute())}
    again = _command(asked, settings, assignments)

    def decide() -> Start | Resumption | Done:
        return choose(
            pipeline, auto_resume=auto_resume, force_new=force_new, dotenv=asked.dotenv, reason=reason,
            tell=Log(asked.log_format).say,
        )  # fmt: skip

    if not execute:
        pipeline.inspect(state_directory(pipeline))
        return _show(asked, pipeline, database, again, *_foreseen(decide))
    match decide():
        case Start() as begin:
            return first(asked, begin, again=again, fail_on_rows=fail_on_rows)
        case Done(run):
            why = "; neither settings nor source changed since"
            return already(asked, database, run, why, fail_on_rows=fail_on_rows)
        case Resumption() as found:
            return further(asked, found, fail_on_rows=fail_on_rows)


def _foreseen(decide: Callable[[], Start | Resumption | Done]) -> tuple[list[str], bool]:
    """What earlier runs would mean for one that starts now, a sentence each; and whether it would start at all."""
    try:
        found = decide()
    except ElspethError as error:
        facts = "".join(f"\n  {fact}" for fact in (*error.details, error.next_step) if fact)
        return [f"--execute would be refused (exit code {error.exit_code}): {error.message}{facts}"], False
    match found:
        case Start(supersedes=[_, *_] as given_up):
            return [f"run {run} would be given up" for run, _ in given_up], True
        case Resumption(run=run):
            return [f"run {run.run_id} would be resumed, as attempt {run.attempt + 1}; nothing is started anew"], True
        case Done(run):
            return [
                f"nothing would be done: run {run.run_id} is complete, and neither settings nor source changed"
            ], True
    return [], True


def _show(asked: Asked, pipeline: Pipeline, database: Path, command: str, foreseen: list[str], starts: bool) -> int:
    found = plan.plan(pipeline, database, foreseen)
    if asked.json:
        output.result_json(
            SHAPE | {
                "status": "planned", "database": str(database.absolute()), "exit_code": EXIT_OK,
                "next_command": command if starts else None, "plan": found.to_value(),
            }
        )  # fmt: skip
    else:
        output.result(found.text(pipeline, command if starts else None))
    return EXIT_OK


def _command(asked: Asked, settings: Path, assignments: tuple[str, ...]) -> str:
    words: list[str | Path] = ["elspeth", "run", "--settings", settings, "--execute"]
    for assignment in assignments:
        words += ["--set", assignment]
    if asked.database is not None:
        words += ["--database", asked.database]
    return output.command(*words, *([] if asked.dotenv else ["--no-dotenv"]))


def _found_unnamed(database: Path) -> bool:
    """Whether later commands find this database in this folder without being told."""
    named = os.environ.get(locate.VARIABLE)
    place = path_of(named) if named else locate.PLACES[0]
    return place.absolute() == database.absolute()
