"""The command `elspeth`: finds the command that is asked for, and turns errors into words and exit codes."""

from __future__ import annotations

import io
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from elspeth import __version__, errors
from elspeth.cli import output
from elspeth.cli.commands import COMMANDS
from elspeth.cli.context import CliContext, LazyGroup, database_option, dotenv_option


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""
        elspeth init my_pipeline
        elspeth run --settings pipeline.yaml --execute
        elspeth resume latest

        Completion in bash:  eval "$(_ELSPETH_COMPLETE=bash_source elspeth)"
        (zsh_source in zsh; in fish: _ELSPETH_COMPLETE=fish_source elspeth | source)
    """,
)
@click.version_option(__version__, prog_name="elspeth", message="%(prog)s %(version)s")
@database_option
@dotenv_option
def cli() -> None:
    """Run pipelines of decisions about rows: supervised, resumable, every decision on record."""


class _Terminated(KeyboardInterrupt):
    """SIGTERM came; derived so that nobody who handles errors takes it for one."""


def main() -> None:
    """Entry point of the command `elspeth`."""
    # The first process of a container is not ended by a SIGTERM that it does not handle.
    signal.signal(signal.SIGTERM, _terminated)
    code = run(sys.argv[1:])
    output.leave_quietly()
    sys.exit(code)


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; answers the exit code. Everything that went wrong has been told when it returns."""
    context = CliContext()
    try:
        code = cli.main(list(arguments), prog_name="elspeth", standalone_mode=False, obj=context)
        return code if isinstance(code, int) else errors.EXIT_OK
    except click.exceptions.NoArgsIsHelpError as error:
        output.message(error.format_message())
        return errors.EXIT_USAGE
    except click.ClickException as error:
        _show_usage(error)
        return errors.EXIT_USAGE
    except errors.ElspethError as error:
        return _fail(error, context)
    except (click.Abort, KeyboardInterrupt) as stop:
        if isinstance(stop, _Terminated) or isinstance(stop.__cause__, _Terminated):
            return _fail(errors.Terminated("stopped by SIGTERM"), context)
        return _fail(errors.Interrupted("stopped by SIGINT"), context)
    except Exception as error:  # noqa: BLE001 - the last place where anything can be told
        return _bug(error, context)


def _show_usage(error: click.ClickException) -> None:
    """What click says of a command line, which repeats what was typed there."""
    shown = io.StringIO()
    error.show(shown)
    output.message(shown.getvalue().rstrip("\n"))


def _terminated(_number: int, _frame: FrameType | None) -> None:
    raise _Terminated


def _fail(error: errors.ElspethError, context: CliContext) -> int:
    from elspeth.cli.view import error_text  # what words an error needs is imported when there is one

    if context.json:
        output.result_json(error_text.refusal(error, context))
    error_text.render(error, context)
    return error.exit_code


def _bug(error: Exception, context: CliContext) -> int:
    words = f"internal error: {type(error).__name__}: {error}; this is a bug in Elspeth"
    told = errors.ElspethError(words, next_step="" if context.verbose else "add --verbose to see where it arose")
    told = _damage(context) or told
    told.__cause__ = error
    return _fail(told, context)


def _damage(context: CliContext) -> errors.ElspethError | None:
    """What SQLite says of the audit database, if it is damaged: whatever was read of it may be the cause."""
    import os
    from pathlib import Path

    from elspeth.audit.query.locate import locate
    from elspeth.audit.store.database import require_whole

    try:
        require_whole(Path(context.shape.get("database") or locate(context.database, os.environ, Path.cwd())))
    except errors.ElspethError as error:
        return error if "damaged" in error.message else None
    return None
