"""Resumes a run: everything is checked before anything is written, then the same drive as a fresh start."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from elspeth import __version__
from elspeth.audit.reader import AuditReader
from elspeth.audit.values import Run
from elspeth.errors import ConfigurationMismatch, ElspethError, NoCheckpoint
from elspeth.flow.progress import Progress
from elspeth.plugins.contract import Context
from elspeth.roles.plan import AuditPlan
from elspeth.runs.actions import take_over_record
from elspeth.runs.drive import Ended, cast_of, drive, plan_of, state_directory
from elspeth.runs.identity import current
from elspeth.runs.locks import AttemptLock, lock_path
from elspeth.runs.pipeline import Pipeline, load_pipeline, load_stored_pipeline
from elspeth.runs.standing import Standing, leftovers, standing
from elspeth.runs.start import inputs_of
from elspeth.settings import difference


@dataclass(frozen=True, slots=True)
class ResumeOptions:
    """What the operator may say about a resume. `set` are `SECTION.KEY=VALUE`."""

    set: tuple[str, ...] = ()
    settings: Path | None = None
    working_directory: Path | None = None
    take_over: bool = False
    accept_changed_code: bool = False
    dotenv: bool = True
    reason: str | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that may be continued: checked, with nothing written yet. `pipeline` is None if it is complete already."""

    run: Run
    database: Path
    options: ResumeOptions
    standing: Standing
    checkpoint: dict[str, Any]
    pipeline: Pipeline | None = None
    notes: tuple[str, ...] = ()
    leftovers: tuple[Any, ...] = ()
    cautious: bool = False


def prepare(
    database: Path, reference: str, options: ResumeOptions, *, tell: Callable[[str], None] = lambda line: None
) -> Resumption:
    """Find the run and check all that a resume depends on: nobody drives it, settings, code, sources, outputs.

    Changes the working directory to the recorded one. `tell` is given lines for a person who waits.
    """
    database = database.absolute()
    with AuditReader(database) as reader:
        run = reader.run(reference)
        state = standing(reader, run, patience=0 if run.status == "completed" else 60.0, tell=tell)
        if run.status == "completed":
            return Resumption(run, database, options, state, {})
        _require_unfinished(run)
        if not (state.verdict.dead or (options.take_over and state.verdict.state == "frozen")):
            raise state.in_progress()
        checkpoint = _checkpoint(run, state)
        nodes = {node.node_id: (node.plugin_version, node.source_hash) for node in reader.nodes(run.run_id)}
        remains = leftovers(reader, run.run_id)
        attempts = reader.attempts(run.run_id)
    _compare_settings(run, options)
    _enter(run, options)
    pipeline = load_stored_pipeline(
        run.settings_json, environ=options.environ, dotenv=options.dotenv, overrides=options.set
    )
    notes = _compare_code(run, pipeline, nodes, options)
    _check_sources(pipeline, checkpoint)
    _check_outputs(pipeline, checkpoint, options)
    held = state.checkpoint
    died = [attempt.end_reason is None or attempt.end_reason.startswith("taken over") for attempt in attempts[-2:]]
    cautious = len(died) == 2 and all(died) and held is not None and held.attempt < run.attempt
    return Resumption(run, database, options, state, checkpoint, pipeline, tuple(notes), remains, cautious)


def execute(
    resumption: Resumption,
    *,
    watch: Callable[[Progress], None] = lambda progress: None,
    on_output: Callable[[str, str], None] | None = None,
    log_format: str = "text",
    log_level: str = "WARNING",
) -> Ended:
    """Take the run over and finish it. Raises `RunInProgress` if somebody else was faster."""
    run, pipeline, options = resumption.run, resumption.pipeline, resumption.options
    assert pipeline is not None
    number = run.attempt + 1
    identity = current(lock_path(resumption.database, run.run_id, number))
    with AttemptLock.acquire(identity):
        replace = options.take_over and not resumption.standing.verdict.dead
        plan = plan_of(
            pipeline, run.run_id, number, resumption.database, replace_outputs=replace, log_format=log_format,
            log_level=log_level,
        )  # fmt: skip
        overrides = {"set": list(options.set), "accept_changed_code": options.accept_changed_code}
        records = {}
        if replace:
            records["operator_actions"] = [take_over_record(run.run_id, number, identity, options.reason)]
        audit = AuditPlan(
            run_id=run.run_id,
            database=str(resumption.database),
            attempt=number,
            attempt_columns={**identity.to_columns(), "overrides_json": json.dumps(overrides)},
            records=records,
            checkpoint=resumption.checkpoint,
            checkpoints=pipeline.settings.checkpoint.enabled,
            inputs=inputs_of(pipeline),
            working_directory=plan.working_directory,
            log_format=log_format,
            log_level=log_level,
        )
        cast_list = cast_of(
            pipeline, plan, audit, cautious=resumption.cautious, leftovers=cast("Any", resumption.leftovers)
        )
        return drive(pipeline, cast_list, run.run_id, watch=watch, on_output=on_output)


def _require_unfinished(run: Run) -> None:
    if run.superseded_by:
        raise ElspethError(
            f"run {run.run_id} was given up for run {run.superseded_by}",
            next_step=f"elspeth status {run.superseded_by}",
        )
    if run.completed_at is not None:
        raise ElspethError(
            f"run {run.run_id} was marked {run.status}: {run.failure or 'no reason given'}",
            next_step="start a new run: elspeth run --settings FILE --execute",
        )


def _checkpoint(run: Run, state: Standing) -> dict[str, Any]:
    if state.checkpoint is None:
        where = run.settings_path or "pipeline.yaml"
        raise NoCheckpoint(
            f"No checkpoint available: run {run.run_id} wrote none, so there is nothing to continue from",
            next_step=f"elspeth run --settings {where} --execute --force-new",
        )
    message: dict[str, Any] = json.loads(state.checkpoint.message)
    return message


def _compare_settings(run: Run, options: ResumeOptions) -> None:
    if options.settings is None:
        return
    given = load_pipeline(options.settings, environ=options.environ, dotenv=options.dotenv)
    keys = difference(json.loads(run.settings_json), given.loaded.document)
    if keys:
        raise ConfigurationMismatch(
            f"Configuration mismatch: {options.settings} differs from what run {run.run_id} was started with",
            details=[f"differs: {key}" for key in keys],
            next_step=f"elspeth resume {run.run_id}  (uses the stored settings), or start a new run with the new ones",
        )


def _enter(run: Run, options: ResumeOptions) -> None:
    directory = (options.working_directory or Path(run.working_directory)).absolute()
    try:
        os.chdir(directory)
    except OSError as error:
        raise ElspethError(
            f"the working directory of run {run.run_id} cannot be entered: {directory}: {error.strerror}",
            next_step=f"elspeth resume {run.run_id} --working-directory DIR",
        ) from None


def _compare_code(
    run: Run, pipeline: Pipeline, nodes: dict[str, tuple[str | None, str | None]], options: ResumeOptions
) -> list[str]:
    """What decides results must be what it was; answers notes where the operator accepted a difference."""
    if pipeline.pipeline_hash() == run.pipeline_hash:
        return []
    changed = []
    for node_id, (version, digest, _) in sorted(pipeline.code().items()):
        if nodes.get(node_id) != (version, digest):
            before = nodes.get(node_id, (None, None))[0]
            changed.append(f"{node_id}: plugin code changed (version {before} then, {version} now)")
    if run.elspeth_version != __version__:
        changed.append(f"Elspeth {run.elspeth_version} then, {__version__} now")
    if not changed:
        changed.append("a reference file of a plugin changed, or the stored settings were altered")
    if options.accept_changed_code:
        return [f"accepted: {line}" for line in changed]
    raise ConfigurationMismatch(
        f"Configuration mismatch: what decides the results of run {run.run_id} is not what it was",
        details=changed,
        next_step=f"elspeth resume {run.run_id} --accept-changed-code",
    )


def _check_sources(pipeline: Pipeline, checkpoint: dict[str, Any]) -> None:
    for node in pipeline.graph.of_kind("source"):
        plugin = pipeline.source(node.id)
        held = checkpoint["sources"].get(node.id)
        if held and held["cursor"] is not None and held["proof"] is not None:
            plugin.check(held["cursor"], held["proof"])
        pipeline.sources[node.id] = plugin.describe()


def _check_outputs(pipeline: Pipeline, checkpoint: dict[str, Any], options: ResumeOptions) -> None:
    for node in pipeline.graph.of_kind("sink"):
        plugin = pipeline.sink(node.id)
        context = Context("", node.id, state_directory=state_directory(pipeline), headers=pipeline.headers)
        plugin.setup(context)
        plugin.check(checkpoint["sinks"][node.id])
