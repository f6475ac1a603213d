"""`elspeth run`: check a pipeline and show the plan, or carry it out."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from elspeth.cli import output, plan
from elspeth.cli.attempt import carry_out, close
from elspeth.cli.outcome import SHAPE
from elspeth.cli.shared import Asked, Examples, database_option, dotenv_option, json_option, pass_asked, reason_option
from elspeth.errors import EXIT_OK, SettingsError
from elspeth.runs import start
from elspeth.runs.pipeline import Pipeline, load_pipeline
from elspeth.settings import SettingsProblems


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
    begin = start.prepare(pipeline)
    if not execute:
        return _show(asked, pipeline, begin.database, _command(asked, settings, assignments))
    result = carry_out(
        asked,
        pipeline,
        begin.run_id,
        begin.database,
        lambda watch, on_output: start.execute(
            begin, watch=watch, on_output=on_output, log_format=asked.log_format, log_level=asked.log_level
        ),
        files=files_of(pipeline),
        fail_on_rows=fail_on_rows,
    )
    return close(asked, result)


def load(settings: Path, asked: Asked, assignments: tuple[str, ...] = ()) -> Pipeline:
    """The pipeline of a settings file; its problems end in the command that checks this very file."""
    overrides = [*assignments]
    if asked.database is not None:
        overrides.append(f"landscape.url={_url(asked.database)}")
    try:
        return load_pipeline(settings, dotenv=asked.dotenv, overrides=overrides)
    except SettingsProblems as error:
        check = output.command("elspeth", "validate", "--settings", settings)
        raise SettingsProblems(error.problems, next_step=f"mend what is listed, then check with: {check}") from None


def files_of(pipeline: Pipeline, positions: dict[str, Any] | None = None) -> dict[str, str]:
    """The file behind each sink, empty where there is none; `positions` are those of a run that goes on."""
    held = pipeline.positions if positions is None else positions
    return {node.id: str(held.get(node.id, {}).get("path", "")) for node in pipeline.graph.of_kind("sink")}


def _show(asked: Asked, pipeline: Pipeline, database: Path, command: str) -> int:
    found = plan.plan(pipeline, database)
    if asked.json:
        output.result_json(
            SHAPE | {
                "status": "planned", "database": str(database.absolute()), "exit_code": EXIT_OK,
                "next_command": command, "plan": found.to_value(),
            }
        )  # fmt: skip
    else:
        output.result(found.text(pipeline, command))
    return EXIT_OK


def _command(asked: Asked, settings: Path, assignments: tuple[str, ...]) -> str:
    words: list[str | Path] = ["elspeth", "run", "--settings", settings, "--execute"]
    for assignment in assignments:
        words += ["--set", assignment]
    if asked.database is not None:
        words += ["--database", asked.database]
    return output.command(*words, *([] if asked.dotenv else ["--no-dotenv"]))


def _url(database: str) -> str:
    return database if "://" in database else f"sqlite:///{quote(database)}"
