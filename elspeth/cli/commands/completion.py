"""`elspeth completion`: what a shell needs to complete commands, options, runs and plugins, printed or put in place."""

from __future__ import annotations

import os
from pathlib import Path

import click
from click.shell_completion import get_completion_class

from elspeth.cli import output
from elspeth.cli.context import CliContext, Examples, ExamplesGroup, json_option, pass_context
from elspeth.durable import keep, why
from elspeth.errors import EXIT_OK, ElspethError, SettingsError, Temporary
from elspeth.file_identity import NotRegularFile, open_regular

VARIABLE = "_ELSPETH_COMPLETE"
"""The variable by which a shell asks for completion; every script of ours names it."""

SHELLS = ("bash", "zsh", "fish")
HEAD_BYTES = 8192
MODE = 0o644

_HINTS = {
    "bash": "new shells know it, where bash-completion is installed",
    "zsh": "new shells know it, where ~/.zshrc has this before compinit:  fpath=({folder} $fpath)",
    "fish": "new shells know it",
}

_shell = click.argument("shell", type=click.Choice(SHELLS), required=False)


@click.group(
    "completion",
    cls=ExamplesGroup,
    epilog="""
        elspeth completion install
        elspeth completion show bash
    """,
)
def command() -> None:
    """Complete commands, options, runs and plugins in a shell."""


@command.command(
    "install",
    cls=Examples,
    epilog="""
        elspeth completion install
        elspeth completion install zsh
    """,
)
@_shell
@json_option
@pass_context
def install(context: CliContext, shell: str | None) -> int:
    """Put the script where SHELL looks for it; without SHELL, the one that $SHELL names.

    One of an earlier version is replaced, and no other file.
    """
    shell = shell or _present()
    place = _place(shell)
    script = _script(shell)
    try:
        if not _may_be_replaced(place):
            raise SettingsError(
                f"{place} is there, and is not ours", next_step=f"take it away, or: elspeth completion show {shell}"
            )
        keep(place, script.encode(), MODE)
    except OSError as error:
        raise Temporary(
            f"{place} cannot be written: {why(error)}", next_step=f"mend it, or: elspeth completion show {shell}"
        ) from error
    if context.json:
        output.result_json({"status": "written", "shell": shell, "file": str(place), "exit_code": EXIT_OK})
    else:
        output.result(f"wrote {place}\n{_HINTS[shell].format(folder=place.parent)}")
    return EXIT_OK


@command.command(
    "show",
    cls=Examples,
    epilog="""
        elspeth completion show bash
        elspeth completion show fish
    """,
)
@_shell
@pass_context
def show(context: CliContext, shell: str | None) -> int:
    """Print the script for SHELL; without SHELL, for the one that $SHELL names."""
    output.result(_script(shell or _present()))
    return EXIT_OK


def _present() -> str:
    found = Path(os.environ.get("SHELL", "")).name
    if found not in SHELLS:
        raise SettingsError(
            f"which shell is meant cannot be told: SHELL is {os.environ.get('SHELL') or 'not set'}",
            next_step=f"elspeth completion install {'|'.join(SHELLS)}",
        )
    return found


def _place(shell: str) -> Path:
    """Where the shell looks by itself: as the XDG base directory specification and each shell's manual say."""
    data = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    if shell == "bash":
        own = os.environ.get("BASH_COMPLETION_USER_DIR")
        return (Path(own) if own else data / "bash-completion") / "completions" / "elspeth"
    if shell == "zsh":
        return data / "zsh" / "site-functions" / "_elspeth"
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "fish" / "completions" / "elspeth.fish"


def _script(shell: str) -> str:
    found = get_completion_class(shell)
    if found is None:
        raise ElspethError(f"click completes nothing in {shell}", next_step="install a newer click")
    complete = found(click.get_current_context().find_root().command, {}, "elspeth", VARIABLE)
    return complete.source_template % complete.source_vars()


def _may_be_replaced(place: Path) -> bool:
    try:
        with open_regular(place) as file:
            return VARIABLE.encode() in file.read(HEAD_BYTES)
    except FileNotFoundError:
        return True
    except NotRegularFile:
        return False
