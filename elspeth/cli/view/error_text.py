"""Errors in words, on stderr: what, the facts, and the exact next command."""

from __future__ import annotations

import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

from elspeth.cli import output
from elspeth.cli.context import CliContext
from elspeth.cli.view.logs import Log
from elspeth.errors import ElspethError, Interrupted, PersonNeeded, RunInProgress, Temporary

_ABOUT_A_RUN = re.compile(
    r"elspeth (?:resume|status|runs|doctor|explain|verify|export|purge|graph)\b(?: [a-z0-9]{8}\b)?"
)
_DRIVING = ("run", "resume", None)
_RESUME = re.compile(r"(^|, then )resume$")
_COMMAND = re.compile(r"elspeth [a-z](?:[^`\s]| (?! ))*")
"""The first command in a next step; two blanks, or a quote, part it from what else is said."""


def render(error: ElspethError, context: CliContext) -> None:
    """Print an error: its message, its details a line each, its next step, and with --verbose where it arose."""
    context.concealment.error(error)
    step = next_step(error, context)
    log = Log(context.log_format, context.run_id)
    if not log.for_people:
        trace = {"traceback": _traceback(error, context)} if context.verbose else {}
        log.notify(error.message, "error", details=list(error.details), next_step=step, **trace)
        return
    stopped = isinstance(error, Interrupted)
    head = output.styled("Stopped:" if stopped else "Error:", "yellow" if stopped else "red", sys.stderr)
    output.message(f"{head} {error.message}")
    for detail in error.details:
        for line in detail.splitlines() or [""]:
            output.message(f"  {line}")
    if step:
        output.message(f"{output.styled('Next:', 'bold', sys.stderr)} {step}")
    if context.verbose:
        output.message(_traceback(error, context))


def refusal(error: ElspethError, context: CliContext) -> dict[str, Any]:
    """The JSON result of a command that ended in an error before it had a result of its own."""
    context.concealment.error(error)
    step = next_step(error, context)
    found = _COMMAND.search(step)
    return {
        "status": "refused",
        **context.shape,
        "run_id": context.run_id,
        "exit_code": error.exit_code,
        "resumable": isinstance(error, PersonNeeded | Temporary | RunInProgress) and "elspeth resume" in step,
        "next_command": found.group() if found else None,
        "error": {**error.to_value(), "next_step": step},
    }


def next_step(error: ElspethError, context: CliContext) -> str:
    """The next step, naming the audit database where the command line had to name it too.

    What is in the way of a run is in the way of a question about it, too: who asked asks again, and resumes nothing.
    """
    place, step = context.shown_database or context.place, error.next_step
    if context.command not in _DRIVING:
        step = _RESUME.sub(r"\1the same command again", step)
    if place is None or "--database" in step:
        return step
    path = place if "://" in place else str(Path(place).absolute())
    return _ABOUT_A_RUN.sub(lambda found: f"{found.group()} --database {shlex.quote(path)}", step)


def _traceback(error: BaseException, context: CliContext) -> str:
    return context.concealment.text("".join(traceback.format_exception(error)).rstrip())
