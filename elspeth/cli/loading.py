"""Reads the pipeline that a command was given, so that its problems end in the command that checks this very file."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from elspeth.cli import output
from elspeth.cli.context import CliContext
from elspeth.errors import SettingsError
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.settings import SettingsProblems

DEFAULT = Path("pipeline.yaml")


def file_of(argument: Path | None, option: Path | None) -> Path:
    """The pipeline file that was meant: the argument, `--settings`, or `./pipeline.yaml`. Raises `SettingsError`."""
    if argument is not None and option is not None:
        raise SettingsError(
            f"two pipeline files are given: {argument} and --settings {option}", next_step="leave one of them out"
        )
    found = argument or option
    if found is None and not DEFAULT.exists():
        raise SettingsError(
            "no pipeline file is given, and there is no pipeline.yaml here",
            next_step="elspeth run FILE, or elspeth init",
        )
    return found or DEFAULT


def load(settings: Path, context: CliContext, assignments: tuple[str, ...] = ()) -> Pipeline:
    """The pipeline of a settings file, with `--set` and `--database` in place. Raises `SettingsProblems`."""
    overrides = [*assignments]
    if context.given_database is not None:
        overrides.append(f"landscape.url={_url(context.given_database)}")
    try:
        pipeline = load_pipeline(settings, dotenv=context.dotenv, overrides=overrides)
    except SettingsProblems as error:
        raise checked_by(error, settings) from None
    context.concealment = pipeline.loaded.concealment
    return pipeline


def checked_by(error: SettingsProblems, settings: Path) -> SettingsProblems:
    """The same problems, ending in the command that checks this file."""
    check = output.command("elspeth", "validate", "--settings", settings)
    return SettingsProblems(error.problems, next_step=f"mend what is listed, then check with: {check}")


def _url(database: str) -> str:
    return database if "://" in database else f"sqlite:///{quote(database)}"
