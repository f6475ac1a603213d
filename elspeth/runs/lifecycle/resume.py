"""Resumes a run: everything is checked before anything is written, then the same drive as a fresh start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from actors.crash_points import crash_point
from actors.places.local.fork_server import ForkServer
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import NodeRecord, Run
from elspeth.audit.store import memory_marks
from elspeth.audit.store.database import require_whole
from elspeth.clock import utc_now
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.progress import Progress
from elspeth.coordinator.topology import Predecessor
from elspeth.errors import ConfigurationMismatch
from elspeth.outputs import sink_states
from elspeth.roles.plan import AuditPlan
from elspeth.runs.lifecycle import driver, evidence_delivery
from elspeth.runs.lifecycle.drive import AttemptResult, drive, plan_of, state_directory, topology_of
from elspeth.runs.lifecycle.driver import Driver
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.runs.lifecycle.requirements import (
    check_output,
    check_source,
    enter,
    require_checkpoint,
    require_own_folder,
    require_same_code,
    require_settings,
    require_unfinished,
)
from elspeth.runs.lifecycle.retire import retire
from elspeth.runs.lifecycle.start import inputs_of
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.locks import AttemptLock, lock_path
from elspeth.runs.liveness.run_assessment import RunAssessment, assessment, inspected_sizes, leftovers, memory_ran_out
from elspeth.runs.operate.migration import bring_forward
from elspeth.runs.operate.records import take_over_action
from elspeth.settings import changes


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """What the operator may say about a resume. `set` are `SECTION.KEY=VALUE`."""

    set: tuple[str, ...] = ()
    settings: Path | None = None
    working_directory: Path | None = None
    take_over: bool = False
    accept_changed_code: bool = False
    dotenv: bool | Path = True
    reason: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that may be continued: checked, with nothing written yet.

    If it is complete already, there is no `pipeline` and no `checkpoint`.
    """

    run: Run
    database: Path
    options: ResumeOptions
    assessment: RunAssessment
    checkpoint: Checkpoint | None
    pipeline: Pipeline | None = None
    notes: tuple[str, ...] = ()
    leftovers: tuple[Any, ...] = ()
    cautious: bool = False
    accepted: tuple[str, ...] = ()


def prepare(
    database: Path, reference: str, options: ResumeOptions, *, notify: Callable[[str], None] = lambda line: None
) -> Resumption:
    """Find the run and check all that a resume depends on: nobody drives it, settings, code, sources, outputs.

    Changes the working directory to the recorded one. `notify` is given lines for a person who waits.
    """
    database = database.absolute()
    require_whole(database)
    with AuditReader(database) as reader:
        run = reader.run(reference)
        if run.status != "completed":
            require_own_folder(run, database, reader.attempts(run.run_id)[-1], options.working_directory)
        patience = 0 if run.status == "completed" else 60.0
        state = assessment(reader, run, patience=patience, thorough=options.take_over, notify=notify)
        if run.status == "completed":
            return Resumption(run, database, options, state, None)
        require_unfinished(run)
        if not (state.verdict.dead or (options.take_over and state.verdict.state == "frozen")):
            raise state.in_progress()
        checkpoint = require_checkpoint(run, state.checkpoint)
        nodes = {node.node_id: node for node in reader.nodes(run.run_id)}
        remains = leftovers(reader, run.run_id)
        attempts = reader.attempts(run.run_id)
        sizes = inspected_sizes(reader, run.run_id)
        drivers = driver.recorded(reader, run.run_id)
        ran_out = memory_ran_out(reader, run.run_id)
    _compare_settings(run, options)
    enter(run, options.working_directory)
    pipeline = require_settings(run, environ=options.environ, dotenv=options.dotenv, overrides=options.set)
    notes, accepted = _compare_code(run, pipeline, nodes, drivers, options)
    notes += tuple(f"accepted: {line}" for line in accepted)
    for node in pipeline.graph.of_kind("source"):
        check_source(pipeline, node.id, checkpoint)
    for node in pipeline.graph.of_kind("sink"):
        check_output(run, pipeline, node.id, checkpoint)
    ended = {source for source, held in checkpoint.source_positions.items() if held.ended}
    notes += _grown({source: size for source, size in pipeline.sizes().items() if source not in ended}, sizes)
    held = state.checkpoint
    died = [
        attempt.end_reason is None or attempt.end_reason.startswith(("taken over", "fix by"))
        for attempt in attempts[-2:]
    ]
    cautious = len(died) == 2 and all(died) and held is not None and held.attempt < run.attempt
    if ran_out & {attempt.attempt for attempt in attempts[-2:]}:
        cautious = False  # no row did that
    if run.attempt in ran_out:
        notes += ("the kernel killed processes for want of memory while the attempt before this one was alive",)
    return Resumption(run, database, options, state, checkpoint, pipeline, notes, remains, cautious, accepted)


def execute(
    resumption: Resumption,
    *,
    notify: Callable[[str], None] = lambda line: None,
    watch: Callable[[Progress], None] = lambda progress: None,
    on_output: Callable[[str, str], None] | None = None,
    log_format: str = "text",
    log_level: str = "WARNING",
    children: ForkServer | None = None,
) -> AttemptResult:
    """Take the run over and finish it; an older audit database is brought forward first.

    Raises `RunInProgress` if somebody else was faster.
    """
    run, pipeline, options = resumption.run, resumption.pipeline, resumption.options
    assert pipeline is not None
    assert resumption.checkpoint is not None
    bring_forward(resumption.database, besides=run.run_id, notify=notify)
    number = run.attempt + 1
    identity = current(lock_path(resumption.database, run.run_id, number))
    crash_point("main.before_resume_lock")
    with AttemptLock.acquire(identity) as lock:
        crash_point("main.after_resume_lock")
        replace = options.take_over and not resumption.assessment.verdict.dead
        plan = plan_of(
            pipeline, run.run_id, number, resumption.database, sinks=sink_states(resumption.checkpoint.sink_positions),
            replace_outputs=replace, log_format=log_format, log_level=log_level,
        )  # fmt: skip
        overrides = {"set": list(options.set), "accept_changed_code": options.accept_changed_code}
        drives = driver.present(pipeline.plugins.values())
        driven = driver.record(run.run_id, number, drives, utc_now(), resumption.accepted)
        records = {"supervision_events": [driven, memory_marks.record(run.run_id, number)]}
        if replace:
            records["operator_actions"] = [take_over_action(run.run_id, number, identity, options.reason)]
        audit = AuditPlan(
            run_id=run.run_id,
            database=str(resumption.database),
            attempt=number,
            begins=identity.start(json.dumps(overrides)),
            records=records,
            checkpoint=resumption.checkpoint,
            checkpoints=pipeline.settings.checkpoint.enabled,
            inputs=inputs_of(pipeline),
            journal=evidence_delivery.journal_of(pipeline, resumption.database, run.run_id),
            working_directory=plan.working_directory,
            log_format=log_format,
            log_level=log_level,
        )
        topology = topology_of(
            pipeline, plan, audit, cautious=resumption.cautious, leftovers=cast("Any", resumption.leftovers),
            takes_over=_predecessor(resumption.assessment),
        )  # fmt: skip
        ended = drive(pipeline, topology, run.run_id, watch=watch, on_output=on_output, children=children)
        if ended.error is None:
            evidence_delivery.deliver(pipeline, resumption.database, run.run_id, state_directory(pipeline))
            retire(lock, resumption.database)
        return ended


def _predecessor(assessment: RunAssessment) -> Predecessor:
    """The attempt that is taken over, for the record."""
    attempt, verdict = assessment.attempt, assessment.verdict
    return Predecessor(attempt.attempt, attempt.pid, attempt.host, verdict.state, verdict.sentence)


def _grown(now: Mapping[str, int], then: Mapping[str, int]) -> tuple[str, ...]:
    """Sources to which something was appended since the attempt before: it is processed like the rest."""
    return tuple(
        f"{source}: {size - then[source]:,} bytes were appended since; their rows are processed like the rest"
        for source, size in sorted(now.items())
        if size > then.get(source, size)
    )


def _compare_settings(run: Run, options: ResumeOptions) -> None:
    if options.settings is None:
        return
    given = load_pipeline(options.settings, environ=options.environ, dotenv=options.dotenv)
    keys = changes(json.loads(run.settings_json), given.loaded.document, given.loaded.positions)
    if keys:
        raise ConfigurationMismatch(
            f"Configuration mismatch: {options.settings} differs from what run {run.run_id} was started with",
            details=[f"differs: {key}" for key in keys],
            next_step=f"elspeth resume {run.run_id}  (uses the stored settings), or start a new run with the new ones",
        )


def _compare_code(
    run: Run, pipeline: Pipeline, nodes: Mapping[str, NodeRecord], drivers: Mapping[int, Driver], options: ResumeOptions
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What decides results must be what it was; answers what differs besides, and what the operator accepted."""
    try:
        return require_same_code(run, pipeline, nodes, drivers), ()
    except ConfigurationMismatch as error:
        if not options.accept_changed_code:
            raise
        return (), error.details
