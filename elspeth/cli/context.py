"""What all commands share: lazy loading, help that ends in examples, and the options that stand everywhere."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, cast

import click

from elspeth.concealment import NOTHING, Concealment


class Entry(NamedTuple):
    """A command: the module and attribute that hold it, and what it does in a few words."""

    target: str
    summary: str


@dataclass(slots=True)
class CliContext:
    """What was asked for beside the command itself.

    What follows `json` is filled in by commands for whoever words an error later: the run it is about, the keys
    that the command's JSON result always has, the audit database if the next command must name it,
    and what keeps the run's credentials out of tracebacks.
    """

    verbose: bool = False
    log_format: str = "text"
    dotenv: bool = True
    database: str | None = None
    json: bool = False
    allow_all_failed: bool = False
    run_id: str | None = None
    shape: dict[str, Any] = field(default_factory=dict)
    place: str | None = None
    concealment: Concealment = NOTHING

    @property
    def log_level(self) -> str:
        """From which level on children log."""
        return "INFO" if self.verbose else "WARNING"


pass_context = click.make_pass_decorator(CliContext, ensure=True)


def _keep(name: str) -> Callable[[click.Context, click.Parameter, Any], Any]:
    def keep(ctx: click.Context, parameter: click.Parameter, value: Any) -> Any:
        source = ctx.get_parameter_source(parameter.name or "")
        if source is not click.core.ParameterSource.DEFAULT:
            setattr(ctx.find_root().ensure_object(CliContext), name, value)
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
    ]  # fmt: skip


database_option = click.option(
    "--database", metavar="PATH", expose_value=False, callback=_keep("database"),
    help="The audit database, a file or sqlite:/// URL. Without it: ELSPETH_LANDSCAPE__URL, runs/audit.db, "
    "state/audit.db.",
)  # fmt: skip

dotenv_option = click.option(
    "--dotenv/--no-dotenv", default=True, expose_value=False, callback=_keep("dotenv"),
    help="Read variables from .env in the working directory if there is one (the default), or do not.",
)  # fmt: skip

json_option = click.option(
    "--json", "as_json", is_flag=True, expose_value=False, callback=_keep("json"),
    help="Print the result as one JSON object on stdout.",
)  # fmt: skip

allow_all_failed_option = click.option(
    "--allow-all-failed", is_flag=True, expose_value=False, callback=_keep("allow_all_failed"),
    help="Exit with 0 although rows came and none of them went a normal way (otherwise 10).",
)  # fmt: skip

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
        return super().resolve_command(ctx, args)

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
