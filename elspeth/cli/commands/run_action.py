"""What `elspeth run` does: decides what earlier runs mean for this one, then shows the plan or carries it out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from actors.places.local.fork_server import ForkServer
from elspeth.audit.query import locate
from elspeth.audit.store.place import Place, place_of
from elspeth.cli import output
from elspeth.cli.context import CliContext
from elspeth.cli.loading import load
from elspeth.cli.view.already_done import already
from elspeth.cli.view.logs import Log
from elspeth.cli.view.result import SHAPE
from elspeth.cli.view.run_view import first, further
from elspeth.errors import EXIT_OK, ElspethError, SettingsError
from elspeth.runs.lifecycle.drive import state_directory
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.resume import Resumption
from elspeth.runs.lifecycle.start import Start
from elspeth.runs.lifecycle.start_policy import AlreadyDone, choose, receive


def run(
    context: CliContext, settings: Path, assignments: tuple[str, ...], children: ForkServer | None, *,
    auto_resume: bool, force_new: bool, fail_on_rows: bool, reason: str | None,
) -> int:  # fmt: skip
    """Carry it out with children forked from this process; without one, show the plan. Answers the exit code."""
    context.shape = SHAPE
    if auto_resume and force_new:
        raise SettingsError("--auto-resume and --force-new exclude each other", next_step="leave one of them out")
    pipeline = load(settings, context, assignments)
    database = place_of(pipeline.settings.landscape.url)
    context.place = None if context.given_database or _found_unnamed(database) else str(database.absolute())
    context.shape = SHAPE | {"database": str(database.absolute())}
    again = _command(context, settings, assignments)

    def decide() -> Start | Resumption | AlreadyDone:
        return choose(
            pipeline, auto_resume=auto_resume, force_new=force_new, dotenv=context.dotenv, reason=reason,
            notify=Log(context.log_format).notify,
        )  # fmt: skip

    if children is None:
        pipeline.inspect(state_directory(pipeline))
        return _show(context, pipeline, database, again, *_foreseen(decide))
    found = decide()
    if isinstance(found, Start):
        found = receive(found, auto_resume=auto_resume, notify=Log(context.log_format).notify)
    match found:
        case Start() as begin:
            from elspeth.cli.view.plan import cautions  # beside the plan, of which only this is needed

            warnings = (*map(str, pipeline.loaded.warnings), *cautions(pipeline))
            return first(context, begin, children, again=again, fail_on_rows=fail_on_rows, warnings=warnings)
        case AlreadyDone(earlier, why):
            return already(context, database, earlier, f"; {why}", fail_on_rows=fail_on_rows)
        case Resumption() as found:
            return further(context, found, children, fail_on_rows=fail_on_rows)


def _foreseen(decide: Callable[[], Start | Resumption | AlreadyDone]) -> tuple[list[str], bool]:
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
        case AlreadyDone(run, why):
            return [f"nothing would be done: run {run.run_id} is complete, and {why.removesuffix(' since')}"], True
    return [], True


def _show(
    context: CliContext, pipeline: Pipeline, database: Place, command: str, foreseen: list[str], starts: bool
) -> int:
    from elspeth.cli.view import plan  # what only the plan needs, such as a picture of the graph

    found = plan.plan(pipeline, database, foreseen)
    if context.json:
        output.result_json(
            SHAPE | {
                "status": "planned", "database": str(database.absolute()), "exit_code": EXIT_OK,
                "next_command": command if starts else None, "plan": found.to_value(),
            }
        )  # fmt: skip
    else:
        output.result(found.text(pipeline, command if starts else None))
    return EXIT_OK


def _command(context: CliContext, settings: Path, assignments: tuple[str, ...]) -> str:
    words: list[str | Path] = ["elspeth", "run", "--settings", settings, "--execute"]
    for assignment in assignments:
        words += ["--set", assignment]
    if context.given_database is not None:
        words += ["--database", str(context.shown_database)]
    return output.command(*words, *context.dotenv_options)


def _found_unnamed(database: Place) -> bool:
    """Whether later commands find this database in this folder without being told."""
    named = os.environ.get(locate.VARIABLE)
    place = place_of(named) if named else locate.PLACES[0]
    return place.absolute() == database.absolute()
