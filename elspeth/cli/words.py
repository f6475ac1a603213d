"""Errors in words, on stderr: what, the facts, and the exact next command."""

from __future__ import annotations

import re
import shlex
import sys
import traceback
from pathlib import Path
from typing import Any

from elspeth.cli import output
from elspeth.cli.logs import Log
from elspeth.cli.shared import Asked
from elspeth.errors import ElspethError, Interrupted, RunInProgress, Temporary

_ABOUT_A_RUN = re.compile(
    r"elspeth (?:resume|status|runs|doctor|explain|verify|export|purge|graph)\b(?: [a-z0-9]{8}\b)?"
)


def tell(error: ElspethError, asked: Asked) -> None:
    """Print an error: its message, its details a line each, its next step, and with --verbose where it arose."""
    step = next_step(error, asked)
    log = Log(asked.log_format, asked.run_id)
    if not log.for_people:
        trace = {"traceback": _traceback(error)} if asked.verbose else {}
        log.say(error.message, "error", details=list(error.details), next_step=step, **trace)
        return
    stopped = isinstance(error, Interrupted)
    head = output.styled("Stopped:" if stopped else "Error:", "yellow" if stopped else "red", sys.stderr)
    output.message(f"{head} {error.message}")
    for detail in error.details:
        for line in detail.splitlines() or [""]:
            output.message(f"  {line}")
    if step:
        output.message(f"{output.styled('Next:', 'bold', sys.stderr)} {step}")
    if asked.verbose:
        output.message(_traceback(error))


def refusal(error: ElspethError, asked: Asked) -> dict[str, Any]:
    """The JSON result of a command that ended in an error before it had a result of its own."""
    step = next_step(error, asked)
    found = _ABOUT_A_RUN.match(step)
    return {
        "status": "refused",
        **asked.shape,
        "run_id": asked.run_id,
        "exit_code": error.exit_code,
        "resumable": isinstance(error, Temporary | RunInProgress) and "elspeth resume" in step,
        "next_command": step.partition("  (")[0] if found else None,
        "error": {**error.to_value(), "next_step": step},
    }


def next_step(error: ElspethError, asked: Asked) -> str:
    """The next step, naming the audit database where the command line had to name it too."""
    if asked.database is None:
        return error.next_step
    path = asked.database if "://" in asked.database else str(Path(asked.database).absolute())
    more = f" --database {shlex.quote(path)}"
    step = error.next_step
    return step if "--database" in step else _ABOUT_A_RUN.sub(lambda found: found.group() + more, step)


def _traceback(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)).rstrip()
