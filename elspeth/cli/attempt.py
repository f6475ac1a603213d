"""One attempt at a run, as `run` and `resume` both show it: announced, watched, summed up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from elspeth.cli import output
from elspeth.cli.display import display
from elspeth.cli.logs import Log
from elspeth.cli.outcome import Result
from elspeth.cli.shared import Asked
from elspeth.cli.words import tell
from elspeth.errors import TakenOver
from elspeth.flow.progress import Progress
from elspeth.runs.drive import Ended
from elspeth.runs.pipeline import Pipeline

Drive = Callable[[Callable[[Progress], None], Callable[[str, str], None]], Ended]
"""Drives the attempt, given whom to show the progress and whom to hand the children's lines."""


def resume_command(run_id: str, database: Path, asked: Asked) -> str:
    """The command that continues a run, complete: it can be typed in any folder."""
    words = ["elspeth", "resume", run_id, "--database", str(database.absolute())]
    return output.command(*words, *([] if asked.dotenv else ["--no-dotenv"]))


def carry_out(
    asked: Asked, pipeline: Pipeline, run_id: str, database: Path, drive: Drive, *, attempt: int = 1,
    files: Mapping[str, str], took_over: bool = False, notes: tuple[str, ...] = (), fail_on_rows: bool = False,
) -> Result:  # fmt: skip
    """Say what begins and how to continue it, drive it with its progress on show, and work out how it ended."""
    asked.run_id = run_id
    log = Log(asked.log_format, run_id)
    resumable = pipeline.settings.checkpoint.enabled
    command = resume_command(run_id, database, asked)
    log.say(f"Run {run_id}" + (f", attempt {attempt}" if attempt > 1 else ""), attempt=attempt)
    if resumable:
        log.say(f"If it is stopped before its end, continue it with:\n  {command}" if log.for_people else
                "resume command", next_command=command)  # fmt: skip
    else:
        log.say("It cannot be resumed: its settings say checkpoint.enabled: false.", "warning")
    begun = time.monotonic()
    try:
        with display(log) as watch:
            ended = drive(watch, log.from_child)
            watch(ended.progress)  # what was said while the tree shut down
    finally:
        log.flush()
    error, progress = ended.error, ended.progress
    continues = resumable and error is not None and not isinstance(error, TakenOver)
    return Result(
        ended,
        database.absolute(),
        time.monotonic() - begun,
        files,
        # Without checkpoint 0 there is no run yet that could be continued.
        command if continues and (progress.started or attempt > 1) else None,
        attempt,
        took_over,
        notes,
        fail_on_rows,
    )


def close(asked: Asked, result: Result) -> int:
    """Print the result, and what ended the run if it is not complete; answers the exit code."""
    if asked.json:
        output.result_json(result.to_value())
    else:
        output.result(result.summary())
    if result.error is not None:
        tell(result.error, asked)
    return result.exit_code
