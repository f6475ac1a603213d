"""The command `elspeth`: finds the command that is asked for, and turns errors into words and exit codes."""

from __future__ import annotations

import faulthandler
import io
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from elspeth import __version__, errors
from elspeth.cli import output, streams
from elspeth.cli.commands import COMMANDS
from elspeth.cli.context import CliContext, LazyGroup, database_option, dotenv_option
from elspeth.concealment import without_url_passwords
from elspeth.refusals import MEMORY, ended_by, refusal, require_address_space

COMPLETION = "_ELSPETH_COMPLETE"
"""The variable by which a shell asks for completion."""


@click.group(
    cls=LazyGroup,
    entries=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""
        elspeth init my_pipeline
        elspeth run --settings pipeline.yaml --execute
        elspeth resume latest

        Completion in bash, zsh and fish:  elspeth completion install
    """,
)
@click.version_option(__version__, prog_name="elspeth", message="%(prog)s %(version)s")
@database_option
@dotenv_option
def cli() -> None:
    """Run pipelines of decisions about rows: supervised, resumable, every decision on record."""


class _Stopped(KeyboardInterrupt):
    """A signal came that ends the command; derived so that nobody who handles errors takes it for one."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def main() -> None:
    """Entry point of the command `elspeth`."""
    _speak_utf8()
    _hide_passwords()
    streams.guard()
    faulthandler.register(signal.SIGUSR1, file=2, all_threads=True)  # shows where every thread is, and goes on
    # The first process of a container is not ended by a SIGTERM that it does not handle.
    for number in errors.ENDING_SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup; a shell's background
            signal.signal(number, _stopped)
    try:
        code = run(sys.argv[1:])
    except (MemoryError, SystemError, OSError, ImportError) as error:
        # Where memory ends, it may end in the middle of saying so, too; this takes next to none.
        found = refusal(error)
        if found is None:
            raise
        os.write(2, b"Error: out of memory\n" if MEMORY in found.message else f"Error: {found.message}\n".encode())
        code = errors.EXIT_TEMPORARY
    output.leave_quietly()
    sys.exit(code)


def _speak_utf8() -> None:
    """Begin again in Python's UTF-8 mode where file names would be in another encoding.

    Names are kept in the audit database and cross processes as UTF-8, and a resume may come under another locale.
    """
    if sys.getfilesystemencoding() != "utf-8" and os.environ.get("PYTHONUTF8") != "1":
        os.execve(sys.executable, sys.orig_argv, {**os.environ, "PYTHONUTF8": "1"})


def _hide_passwords() -> None:
    """Let `ps` show the command without a password that was typed in the URL of a database."""
    shown = [without_url_passwords(word) for word in sys.argv]
    if shown != sys.argv:
        from setproctitle import setproctitle  # few commands have one

        setproctitle(" ".join(["elspeth", *shown[1:]]))


def run(arguments: Sequence[str]) -> int:
    """Carry out one command line; answers the exit code. Everything that went wrong has been told when it returns."""
    context = CliContext()
    try:
        require_address_space()
        code = cli.main(list(arguments), prog_name="elspeth", standalone_mode=False, obj=context)
        if code and isinstance(code, int):
            return code
        if (why := streams.lost_result()) is not None and not output.only_reported:
            raise errors.Temporary(
                f"the result could not be written to standard output: {why}", next_step="the same command, elsewhere"
            )
        return errors.EXIT_OK
    except click.exceptions.NoArgsIsHelpError as error:
        output.message(error.format_message())
        return errors.EXIT_USAGE
    except click.ClickException as error:
        _show_usage(error)
        return errors.EXIT_USAGE
    except errors.ElspethError as error:
        return _fail(error, context)
    except (click.Abort, KeyboardInterrupt) as stop:
        found = next((each for each in (stop, stop.__cause__) if isinstance(each, _Stopped)), None)
        return _fail(errors.stopped_by(found.number if found else signal.SIGINT), context)
    except SystemExit as error:
        if COMPLETION in os.environ:  # click has answered the shell, and ends so
            return error.code if isinstance(error.code, int) else errors.EXIT_OK
        return _fail(ended_by(error), context)
    except Exception as error:  # noqa: BLE001 - the last place where anything can be told
        return _bug(error, context)


def _show_usage(error: click.ClickException) -> None:
    """What click says of a command line, which repeats what was typed there."""
    shown = io.StringIO()
    error.show(shown)
    output.message(without_url_passwords(shown.getvalue().rstrip("\n")))


def _stopped(number: int, _frame: FrameType | None) -> None:
    raise _Stopped(number)


def _fail(error: errors.ElspethError, context: CliContext) -> int:
    try:
        from elspeth.cli.view import error_text  # what words an error needs is imported when there is one

        if context.json:
            output.result_json(error_text.refusal(error, context))
        error_text.render(error, context)
    except Exception as second:
        if refusal(second) is None:
            raise
        # Where memory or open files are used up, the words' modules may not come in any more either.
        output.message(f"Error: {error.message}\nNext: {error.next_step}")
    return error.exit_code


def _bug(error: Exception, context: CliContext) -> int:
    if (refused := refusal(error)) is not None:
        refused.__cause__ = error
        return _fail(refused, context)
    words = f"internal error: {type(error).__name__}: {error}; this is a bug in Elspeth"
    found = errors.ElspethError(words, next_step="" if context.verbose else "add --verbose to see where it arose")
    found = _damage(context) or found
    found.__cause__ = error
    return _fail(found, context)


def _damage(context: CliContext) -> errors.ElspethError | None:
    """What SQLite says of the audit database, if it is damaged: whatever was read of it may be the cause."""
    import os
    from pathlib import Path

    from elspeth.audit.query.locate import locate
    from elspeth.audit.store.database import require_whole
    from elspeth.audit.store.place import place_of

    try:
        named = context.shape.get("database")
        place = place_of(named) if named else locate(context.database, os.environ, Path.cwd())
        if isinstance(place, Path):
            require_whole(place)
    except errors.ElspethError as error:
        return error if "damaged" in error.message else None
    return None
