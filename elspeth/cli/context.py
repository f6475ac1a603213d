"""What all commands share: lazy loading, help that ends in examples, and the options that stand everywhere."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import click

from elspeth.concealment import NOTHING, Concealment, without_url_passwords


class Entry(NamedTuple):
    """A command: the module and attribute that hold it, and what it does in a few words."""

    target: str
    summary: str


@dataclass(slots=True)
class CliContext:
    """What was asked for beside the command itself.

    `given_database` is `database` as it was typed.
    `command` is the one that was asked for.
    What follows `json` is filled in by commands for whoever words an error later: the run it is about, the keys
    that the command's JSON result always has, the audit database if the next command must name it,
    and what keeps the run's credentials out of tracebacks.
    """

    verbose: bool = False
    log_format: str = "text"
    dotenv: bool | Path = True
    given_database: str | None = None
    command: str | None = None
    json: bool = False
    allow_all_failed: bool = False
    run_id: str | None = None
    shape: dict[str, Any] = field(default_factory=dict)
    place: str | None = None
    concealment: Concealment = NOTHING

    @property
    def database(self) -> str | None:
        """The audit database that was named, with variables in a URL filled in. Raises `SettingsError`."""
        return None if self.given_database is None else self.filled(self.given_database)

    def filled(self, given: str) -> str:
        """The same for any database that is named on the command line."""
        if "://" not in given or "${" not in given:
            return given
        from elspeth.settings.load import filled_in  # few commands are given such a place

        return filled_in(given, os.environ, self.dotenv)

    @property
    def shown_database(self) -> str | None:
        """What was named, for whoever types it again: without a password, but with a variable in its place."""
        given = self.given_database
        return given if given is None or "${" in given else without_url_passwords(given)

    @property
    def log_level(self) -> str:
        """From which level on children log."""
        return "INFO" if self.verbose else "WARNING"

    @property
    def dotenv_options(self) -> list[str]:
        """What to type so that a further command reads the same variables."""
        if isinstance(self.dotenv, Path):
            return ["--env-file", str(self.dotenv)]
        return [] if self.dotenv else ["--no-dotenv"]


pass_context = click.make_pass_decorator(CliContext, ensure=True)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is not click.core.ParameterSource.DEFAULT:
            setattr(ctx.find_root().ensure_object(CliContext), name, value)
        return value

    return keep


def _constant(name: str, constant: Any) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        if value:
            setattr(ctx.find_root().ensure_object(CliContext), name, constant)
        return value

    return keep


def _everywhere() -> list[click.Option]:
    return [
        click.Option(
            ["--verbose"], is_flag=True, expose_value=False, callback=_keep("verbose"),
            help="Log more; with an error, show where in the program it arose.",
        ),
        click.Option(
            ["--log-format"], type=click.Choice(["text", "json"]), default="text", expose_value=False,
            callback=_keep("log_format"), help="Lines on stderr for people (text) or for programs (json).",
        ),
        click.Option(
            ["--json-logs"], is_flag=True, expose_value=False, callback=_constant("log_format", "json"),
            help="The same as --log-format json.",
        ),
    ]  # fmt: skip


def _json_wanted(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
    return _constant("json", constant=True)(ctx, parameter, value == "json")


Decorated = TypeVar("Decorated", bound=Callable[..., Any] | click.Command)

database_option = click.option(
    "--database", metavar="PLACE", expose_value=False, callback=_keep("given_database"),
    help="The audit database: a file, or a sqlite:/// or postgresql:// URL. Without it: ELSPETH_LANDSCAPE__URL, "
    "runs/audit.db, state/audit.db, data/audit.db.",
)  # fmt: skip

_dotenv = click.option(
    "--dotenv/--no-dotenv", default=True, expose_value=False, callback=_keep("dotenv"),
    help="Read variables from .env in the working directory if there is one (the default), or do not.",
)  # fmt: skip
_env_file = click.option(
    "--env-file", type=click.Path(path_type=Path), metavar="FILE", expose_value=False, callback=_keep("dotenv"),
    help="Read variables from this file, and from no .env.",
)  # fmt: skip


def dotenv_option(command: Decorated) -> Decorated:
    """Where variables come from beside the environment."""
    return _dotenv(_env_file(command))


_json = click.option(
    "--json", "as_json", is_flag=True, expose_value=False, callback=_constant("json", constant=True),
    help="Print the result as one JSON object on stdout.",
)  # fmt: skip
_format = click.option(
    "--format", "-f", "form", type=click.Choice(["text", "json"]), expose_value=False, callback=_json_wanted,
    help="`--format json` is the same as --json.",
)  # fmt: skip


def json_option(command: Decorated) -> Decorated:
    """How the result is printed."""
    return _json(_format(command))


allow_all_failed_option = click.option(
    "--allow-all-failed", is_flag=True, expose_value=False, callback=_keep("allow_all_failed"),
    help="Exit with 0 although rows came and none of them went a normal way (otherwise 10).",
)  # fmt: skip

fail_on_rows_option = click.option(
    "--fail-on-rows", is_flag=True, help="Exit with 10 if rows were quarantined, discarded or failed."
)

reason_option = click.option("--reason", metavar="TEXT", help="Why, for the audit trail, where you act on a run.")


class Examples(click.Command):
    """A command whose help ends in examples: lines of `epilog`, kept as they are."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params += _everywhere()

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.epilog, formatter)


class ExamplesGroup(click.Group):
    """A group of such commands."""

    command_class = Examples
    group_class = type

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_examples(self.epilog, formatter)


class LazyGroup(ExamplesGroup):
    """A group that imports a command when it is called; `--help` takes summaries from the table."""

    def __init__(self, *args: Any, entries: dict[str, Entry], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._entries = entries
        self.params += [*_everywhere()]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self._entries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = self._entries.get(cmd_name)
        if entry is None:
            return None
        module, _, attribute = entry.target.partition(":")
        return cast("click.Command", getattr(importlib.import_module(module), attribute))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in self._entries and not args[0].startswith("-"):
            import difflib  # a misspelt command only

            near = difflib.get_close_matches(args[0], self._entries, n=1)
            guess = f" Did you mean {near[0]!r}?" if near else f" There are: {', '.join(self._entries)}."
            ctx.fail(f"There is no command {args[0]!r}.{guess}")
        found = super().resolve_command(ctx, args)
        ctx.find_root().ensure_object(CliContext).command = found[0]
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._entries.items()])


def write_examples(epilog: str | None, formatter: click.HelpFormatter) -> None:
    """Write the lines of an epilog under a heading, unwrapped: an example must be typeable as it stands."""
    if not epilog:
        return
    with formatter.section("Examples"):
        for line in epilog.strip("\n").splitlines():
            formatter.write(f"{'':{formatter.current_indent}}{line.strip()}\n" if line.strip() else "\n")
