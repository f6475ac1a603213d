"""Resumes a run: everything is checked before anything is written, then the same drive as a fresh start."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from msgspec import structs

from actors.crash_points import crash_point
from actors.places.local.fork_server import ForkServer
from elspeth.audit.batch_store import BatchStore
from elspeth.audit.explain.payload_reader import bases_of
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Attempt, NodeRecord, Run
from elspeth.audit.store.attempts import memory_marks
from elspeth.audit.store.attempts.caution_events import caution_event, held_event, in_hand_event
from elspeth.audit.store.database import require_whole
from elspeth.audit.store.place import Place, wire
from elspeth.clock import utc_now
from elspeth.coordinator.attempt.leftovers import bury_stopped
from elspeth.coordinator.attempt.marking import Marking
from elspeth.coordinator.attempt.topology import Predecessor
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.coordinator.reporting.progress import Progress
from elspeth.coordinator.suspicion.caution import NO_CAUTION, Caution
from elspeth.errors import ConfigurationMismatch
from elspeth.outputs import sink_states
from elspeth.roles.flush_mark import Flush, Flushes, Held
from elspeth.roles.plan import AuditPlan
from elspeth.runs.lifecycle import driver, evidence_delivery, file_sets, reference_files, stdin_spool
from elspeth.runs.lifecycle.batches_in_hand import convicted, deaths_by_name, held_in_stages, open_suspects
from elspeth.runs.lifecycle.cautiously import caution_after, found_in_hand
from elspeth.runs.lifecycle.drive import AttemptResult, drive, plan_of, policy_of, state_directory, topology_of
from elspeth.runs.lifecycle.driver import Driver
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.runs.lifecycle.requirements import (
    check_output,
    check_source,
    enter,
    require_checkpoint,
    require_not_ended,
    require_own_folder,
    require_same_code,
    require_settings,
    require_unfinished,
)
from elspeth.runs.lifecycle.retire import retire
from elspeth.runs.lifecycle.start import inputs_of, packed_of
from elspeth.runs.liveness.holding import HeldLock, file_of, hold
from elspeth.runs.liveness.identity import current
from elspeth.runs.liveness.row_mark import RowMark, mark_path
from elspeth.runs.liveness.run_assessment import RunAssessment, assessment, inspected_sizes, leftovers, memory_ran_out
from elspeth.runs.liveness.session_lock import SessionLockName
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

    def command(self, run_id: str) -> str:
        """The same resume as it is typed, for whoever is told to type it again, with something more."""
        words = ["elspeth", "resume", run_id]
        if self.working_directory is not None:
            words += ["--working-directory", str(self.working_directory)]
        for override in self.set:
            words += ["--set", override]
        return shlex.join([*words, *(["--take-over"] if self.take_over else [])])


@dataclass(frozen=True, slots=True)
class Resumption:
    """A run that may be continued: checked, with nothing written yet.

    If it is complete already, there is no `pipeline` and no `checkpoint`.
    """

    run: Run
    database: Place
    options: ResumeOptions
    assessment: RunAssessment
    checkpoint: Checkpoint | None
    pipeline: Pipeline | None = None
    notes: tuple[str, ...] = ()
    leftovers: tuple[Any, ...] = ()
    caution: Caution = NO_CAUTION
    in_hand: int | None = None
    held: tuple[Held, ...] = ()
    suspects: dict[str, int] = field(default_factory=dict)
    suspected_tokens: frozenset[str] = frozenset()
    accepted: tuple[str, ...] = ()
    calls_elsewhere: bool = False


def prepare(
    database: Place, reference: str, options: ResumeOptions, *, notify: Callable[[str], None] = lambda line: None
) -> Resumption:
    """Find the run and check all that a resume depends on: nobody drives it, settings, code, sources, outputs.

    Changes the working directory to the recorded one. `notify` is given lines for a person who waits.
    """
    database = database.absolute()
    if isinstance(database, Path):
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
        sets = file_sets.recorded(reader, run.run_id)
        ran_out = memory_ran_out(reader, run.run_id)
        events = reader.events(run.run_id)
        marked = found_in_hand(attempts[-1], _lock_file(database, run, attempts[-1], options))
        deaths, tokens = deaths_by_name(events, ran_out=ran_out)
        held = held_in_stages(marked, deaths)
        tokens |= {each.name for each in held if not isinstance(each, Flush)}
        counts = run.attempt not in ran_out
        suspected = open_suspects(deaths, held, count=counts, decided=BatchStore(database).decided)
        elsewhere = not all(_kept_here(database, run, attempt, options) for attempt in attempts)
    _compare_settings(run, options)
    enter(run, options.working_directory)
    pipeline = require_settings(
        run, environ=options.environ, dotenv=options.dotenv, overrides=options.set, again=options.command(run.run_id)
    )
    require_not_ended(run, pipeline, checkpoint)
    notes, accepted = _compare_code(run, pipeline, nodes, drivers, options)
    notes += tuple(f"accepted: {line}" for line in accepted)
    file_sets.fix(pipeline, sets)
    for node in pipeline.graph.of_kind("source"):
        check_source(pipeline, node.id, checkpoint)
    for node in pipeline.graph.of_kind("sink"):
        check_output(run, pipeline, node.id, checkpoint)
    ended = {source for source, held in checkpoint.source_positions.items() if held.ended}
    notes += _grown({source: size for source, size in pipeline.sizes().items() if source not in ended}, sizes)
    caution = caution_after(
        attempts,
        events,
        state.checkpoint,
        ran_out=ran_out,
        marked=marked,
        rows=policy_of(pipeline).window_rows(),
        committed=checkpoint.row_count,
    )
    if elsewhere and pipeline.settings.providers:
        notes += (
            "the journal of calls of an earlier attempt is not in the state folder here: of calls that it may have "
            "made for rows which are not committed, nobody knows whether they were carried out",
        )
    if stdin_spool.reader_of(pipeline) is not None:
        notes += ("standard input is not read: the run goes on with what it kept of it when it began",)
    if run.attempt in ran_out:
        notes += ("the kernel killed processes for want of memory while the attempt before this one was alive",)
    return Resumption(
        run, database, options, state, checkpoint, pipeline, notes, remains, caution,
        marked.row_index if marked and not held else None, held, suspected, tokens, accepted, elsewhere,
    )  # fmt: skip


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
    number, state = run.attempt + 1, state_directory(pipeline)
    crash_point("main.before_resume_lock")
    with hold(resumption.database, state, run.run_id, number) as lock, ExitStack() as marks:
        crash_point("main.after_resume_lock")
        identity = current(lock.name)
        caution, marking = _mark(resumption.caution, lock, run.run_id, number, marks)
        takes_over = options.take_over and not resumption.assessment.verdict.dead
        references = reference_files.keep(pipeline, notify=notify)
        plan = plan_of(
            pipeline, run.run_id, number, resumption.database, sinks=sink_states(resumption.checkpoint.sink_positions),
            references=references, replace_outputs=takes_over, log_format=log_format, log_level=log_level,
        )  # fmt: skip
        plan = structs.replace(plan, flushes=_flushes(resumption, lock))
        if resumption.calls_elsewhere:
            window = policy_of(pipeline).window_rows()
            plan = structs.replace(plan, calls_lost_before=resumption.checkpoint.row_count + window)
        overrides = {"set": list(options.set), "accept_changed_code": options.accept_changed_code}
        drives = driver.present(pipeline.plugins.values())
        driven = driver.record(run.run_id, number, drives, utc_now(), resumption.accepted)
        kept = reference_files.records(run.run_id, number, references)
        records = {"supervision_events": [driven, memory_marks.record(run.run_id, number), *kept]}
        if caution.rows:
            records["supervision_events"].append(caution_event(run.run_id, number, caution))
        if resumption.in_hand is not None:
            records["supervision_events"].append(in_hand_event(run.run_id, number, run.attempt, resumption.in_hand))
        if resumption.held:
            batches = [(each.batch, each.node) for each in resumption.held if isinstance(each, Flush)]
            items = [structs.asdict(each) for each in resumption.held if not isinstance(each, Flush)]
            records["supervision_events"].append(
                held_event(run.run_id, number, run.attempt, batches=batches, tokens=items)
            )
        if takes_over:
            records["operator_actions"] = [take_over_action(run.run_id, number, identity, options.reason)]
        audit = AuditPlan(
            run_id=run.run_id,
            database=wire(resumption.database),
            attempt=number,
            begins=identity.start(json.dumps(overrides)),
            records=records,
            checkpoint=resumption.checkpoint,
            checkpoints=pipeline.settings.checkpoint.enabled,
            inputs=inputs_of(pipeline),
            stdin=stdin_spool.reader_of(pipeline),
            sets=file_sets.in_words(pipeline),
            packed=packed_of(pipeline),
            journal=evidence_delivery.journal_of(pipeline, resumption.database, run.run_id),
            payload_base=plan.payload_base,
            working_directory=plan.working_directory,
            log_format=log_format,
            log_level=log_level,
        )
        topology = topology_of(
            pipeline, plan, audit, caution=caution, marking=marking, leftovers=cast("Any", resumption.leftovers),
            buried=tuple(bury_stopped(resumption.leftovers)), takes_over=_predecessor(resumption.assessment),
        )  # fmt: skip
        ended = drive(pipeline, topology, run.run_id, watch=watch, on_output=on_output, children=children)
        if ended.error is None:
            evidence_delivery.deliver(pipeline, resumption.database, run.run_id, state)
            stdin_spool.forget(pipeline, run.run_id, resumption.database)
            retire(lock, resumption.database, state)
        return ended


def _mark(caution: Caution, lock: HeldLock, run_id: str, attempt: int, marks: ExitStack) -> tuple[Caution, Marking]:
    """Where it is marked what is in hand; where that cannot be had, rows that go one at a time go on record instead."""
    try:
        row_mark = RowMark.create(lock.path, run_id, attempt)
    except OSError:
        return (replace(caution, recorded=True) if caution.rows else caution), Marking()
    marks.callback(row_mark.close)
    return caution, row_mark


def _flushes(resumption: Resumption, lock: HeldLock) -> Flushes:
    """What stages are told of batches and tokens that may have killed earlier attempts."""
    assert resumption.pipeline is not None
    assert resumption.checkpoint is not None
    suspects, rows = resumption.suspects, resumption.caution.rows
    verdicts = convicted(suspects, policy_of(resumption.pipeline).poison_attempts)
    return Flushes(
        path=str(mark_path(lock.path).absolute()),
        every=rows > 0,
        rows_end=resumption.checkpoint.row_count + rows if rows else 0,
        tokens=resumption.suspected_tokens,
        suspects={name: died for name, died in suspects.items() if name not in verdicts},
        convicted=verdicts,
    )


def _lock_file(database: Place, run: Run, attempt: Attempt, options: ResumeOptions) -> Path | None:
    """Where the lock file of an attempt lies, as seen from here."""
    if attempt.lock_path is None or SessionLockName.read(attempt.lock_path) is None:
        return None if attempt.lock_path is None else Path(attempt.lock_path)
    base = bases_of(run.settings_json, str((options.working_directory or Path(run.working_directory)).absolute()))[0]
    return file_of(database, base.parent, run.run_id, attempt.attempt)


def _kept_here(database: Place, run: Run, attempt: Attempt, options: ResumeOptions) -> bool:
    """Whether what this attempt kept in its state folder is in ours. With a database that is a file, it moves along."""
    if attempt.lock_path is None or SessionLockName.read(attempt.lock_path) is None:
        return True
    file = _lock_file(database, run, attempt, options)
    return file is not None and file.exists()


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
        return require_same_code(run, pipeline, nodes, drivers, again=options.command(run.run_id)), ()
    except ConfigurationMismatch as error:
        if not options.accept_changed_code:
            raise
        return (), error.details
