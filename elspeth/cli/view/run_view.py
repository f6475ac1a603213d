"""One attempt at a run, as `run` and `resume` both show it: announced, watched, summed up."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Protocol

from actors.places.local.fork_server import ForkServer
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.verdict import all_failed, reasons
from elspeth.audit.store.place import Place
from elspeth.cli import output
from elspeth.cli.context import CliContext
from elspeth.cli.view.error_text import render
from elspeth.cli.view.logs import Log
from elspeth.cli.view.progress import display
from elspeth.cli.view.result import Result
from elspeth.coordinator.reporting.progress import Progress
from elspeth.errors import ElspethError, TakenOver
from elspeth.outputs import SinkState, sink_states
from elspeth.runs.lifecycle import resume, start
from elspeth.runs.lifecycle.drive import AttemptResult
from elspeth.runs.lifecycle.pipeline import Pipeline


class Drive(Protocol):
    """Drives the attempt, given whom to show the progress, whom to hand the children's lines, and how those look."""

    def __call__(
        self, *, watch: Callable[[Progress], None], on_output: Callable[[str, str], None], log_format: str,
        log_level: str,
    ) -> AttemptResult: ...  # fmt: skip


def first(
    context: CliContext, begin: start.Start, children: ForkServer, *, again: str, fail_on_rows: bool,
    warnings: tuple[str, ...] = (),
) -> int:  # fmt: skip
    """The first attempt at a run; `again` is the command that asked for it. Answers the exit code.

    `warnings` are what `validate` has to say of the pipeline.
    """
    return _carry_out(
        context,
        begin.pipeline,
        begin.run_id,
        begin.database,
        partial(start.execute, begin, children=children, notify=Log(context.log_format).notify),
        sinks=begin.pipeline.sinks,
        notes=tuple(f"Run {run} was given up for this one." for run, _ in begin.supersedes),
        again=again,
        fail_on_rows=fail_on_rows,
        warnings=warnings,
    )


def further(context: CliContext, found: resume.Resumption, children: ForkServer, *, fail_on_rows: bool) -> int:
    """A further attempt at a run that is not complete. Answers the exit code."""
    assert found.pipeline is not None
    assert found.checkpoint is not None
    return _carry_out(
        context,
        found.pipeline,
        found.run.run_id,
        found.database,
        partial(resume.execute, found, children=children, notify=Log(context.log_format).notify),
        attempt=found.run.attempt + 1,
        sinks=sink_states(found.checkpoint.sink_positions),
        took_over=found.options.take_over and not found.assessment.verdict.dead,
        notes=found.notes,
        fail_on_rows=fail_on_rows,
    )


def resume_command(run_id: str, database: Place, context: CliContext) -> str:
    """The command that continues a run, complete: it can be typed in any folder."""
    shown = context.shown_database
    place = shown if shown is not None and "${" in shown else str(database.absolute())
    describe = ["elspeth", "resume", run_id, "--database", place]
    return output.command(*describe, *context.dotenv_options)


def _carry_out(
    context: CliContext, pipeline: Pipeline, run_id: str, database: Place, drive: Drive, *, attempt: int = 1,
    sinks: Mapping[str, SinkState], took_over: bool = False, notes: tuple[str, ...] = (), again: str = "",
    fail_on_rows: bool, warnings: tuple[str, ...] = (),
) -> int:  # fmt: skip
    """Say what begins and how to continue it, drive it with its progress on show, say how it ended."""
    context.run_id, context.concealment = run_id, pipeline.loaded.concealment
    log = Log(context.log_format, run_id, context.concealment)
    resumable = pipeline.settings.checkpoint.enabled
    command = resume_command(run_id, database, context)
    for line in warnings:
        log.notify(f"warning: {line}", "warning")
    _announce(log, run_id, attempt, command if resumable else None, notes)
    begun = time.monotonic()
    try:
        with display(log) as watch:
            ended = drive(
                watch=watch, on_output=log.from_child, log_format=context.log_format, log_level=context.log_level
            )
            watch(ended.progress)  # what was said while the tree shut down
    finally:
        log.flush(end=True)
    seconds = time.monotonic() - begun
    # Without checkpoint 0 there is no run yet that could be continued.
    recorded = ended.progress.started or attempt > 1
    continues = resumable and recorded and ended.error is not None and not isinstance(ended.error, TakenOver)
    if ended.error is None:
        grown = pipeline.grown(ended.progress.sources)
        notes += tuple(f"{sentence[:1].upper()}{sentence[1:]}." for sentence in grown)
    result = Result(
        ended=ended,
        database=database.absolute(),
        seconds=seconds,
        files={node_id: state.output.path or "" for node_id, state in sinks.items()},
        resume=command if continues else None,
        again="" if recorded else again,
        attempt=attempt,
        took_over=took_over,
        notes=notes,
        fail_on_rows=fail_on_rows,
        allow_all_failed=context.allow_all_failed,
        explain=_explain_command(run_id, context),
    )
    result = _judged(result)
    if pipeline.settings.providers and ended.error is None:  # else not all that was asked is committed
        result = _with_calls(result, pipeline.settings.budget.currency or "")
    if context.json:
        output.result_json(result.to_value())
    else:
        output.report(result.summary())
    if result.error is not None:
        render(result.error, context)
    return result.exit_code


def _judged(result: Result) -> Result:
    """The result with what only the records can tell: why rows were refused, and whether all of them were."""
    outcomes = result.outcomes
    passed = outcomes.get("completed", 0) + outcomes.get("routed", 0)
    if not result.bad and (passed or result.ended.error is not None):
        return result
    try:
        with AuditReader(result.database) as reader:
            none = result.ended.error is None and all_failed(reader, result.ended.run_id)
            return replace(result, all_failed=none, reasons=tuple(reasons(reader, result.ended.run_id)))
    except ElspethError:
        return result  # the run is what it is; `status` and `explain` will say what is wrong with the database


def _with_calls(result: Result, currency: str) -> Result:
    """The result with what was asked of services and what it cost, over all attempts."""
    try:
        with AuditReader(result.database) as reader:
            held = reader.checkpoint(result.ended.run_id)
            return replace(result, calls=(held.read().call_totals if held else None) or {}, currency=currency)
    except ElspethError:
        return result  # as above


def _explain_command(run_id: str, context: CliContext) -> str:
    place = context.place or context.shown_database
    return output.command("elspeth", "explain", *(["--database", place] if place else []), "--run", run_id)


def _announce(log: Log, run_id: str, attempt: int, command: str | None, notes: tuple[str, ...]) -> None:
    log.notify(f"Run {run_id}" + (f", attempt {attempt}" if attempt > 1 else ""), attempt=attempt, next_command=command)
    for note in notes:
        log.notify(note, "warning")
    if command is None:
        log.notify("It cannot be resumed: its settings say checkpoint.enabled: false.", "warning")
    elif log.for_people:
        log.notify(f"If it is stopped before its end, continue it with:\n  {command}")
