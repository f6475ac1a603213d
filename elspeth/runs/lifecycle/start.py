"""Starts a run: everything is checked and decided before the first byte is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from actors.crash_points import crash_point
from actors.places.local.fork_server import ForkServer
from elspeth import __version__, ids
from elspeth.audit.query.reference_files import ReferenceFiles
from elspeth.audit.store.attempts import memory_marks
from elspeth.audit.store.attempts.starts import RunStart
from elspeth.audit.store.place import Place, place_of, wire
from elspeth.clock import utc_now
from elspeth.coordinator.checkpoint import start_checkpoint
from elspeth.coordinator.reporting.progress import Progress
from elspeth.errors import Temporary
from elspeth.plugins.sources.files import FileSource
from elspeth.roles.plan import AuditPlan
from elspeth.runs.lifecycle import driver, evidence_delivery, file_sets, reference_files, stdin_spool
from elspeth.runs.lifecycle.drive import AttemptResult, drive, plan_of, state_directory, topology_of
from elspeth.runs.lifecycle.pipeline import CANONICAL_VERSION, Pipeline
from elspeth.runs.lifecycle.retire import retire
from elspeth.runs.liveness.holding import HeldLock, hold
from elspeth.runs.liveness.identity import current
from elspeth.runs.operate.migration import bring_forward


@dataclass(frozen=True, slots=True)
class Start:
    """A run that is about to begin: its id and where its audit trail will be. Nothing has been written yet.

    `supersedes` names unfinished runs, each with its latest attempt, that are given up for this one, for `reason`.
    `lock` is held already where standard input was taken.
    """

    pipeline: Pipeline
    run_id: str
    database: Place
    supersedes: tuple[tuple[str, int], ...] = ()
    reason: str | None = None
    lock: HeldLock | None = None


def prepare(pipeline: Pipeline) -> Start:
    """Inspect inputs and outputs, and give the run its id."""
    pipeline.inspect(state_directory(pipeline))
    evidence_delivery.check(pipeline, state_directory(pipeline))
    return Start(pipeline, ids.run_id(datetime.now(UTC)), place_of(pipeline.settings.landscape.url))


def receive(start: Start, *, notify: Callable[[str], None] = lambda line: None) -> Start:
    """Read standard input to its end, if a source wants it; `execute` comes next. Raises what inspection finds."""
    return replace(start, lock=stdin_spool.take(start.pipeline, start.run_id, start.database, notify=notify))


def execute(
    start: Start,
    *,
    notify: Callable[[str], None] = lambda line: None,
    watch: Callable[[Progress], None] = lambda progress: None,
    on_output: Callable[[str, str], None] | None = None,
    log_format: str = "text",
    log_level: str = "WARNING",
    children: ForkServer | None = None,
) -> AttemptResult:
    """Run it. The lock of the attempt is held from before the first record until this process ends or this returns."""
    pipeline, database = start.pipeline, start.database
    bring_forward(database, notify=notify)
    state = state_directory(pipeline)
    crash_point("main.before_lock")
    with start.lock or hold(database, state, start.run_id, 1) as lock:
        crash_point("main.after_lock")
        references = _references(pipeline, notify)
        plan = plan_of(
            pipeline, start.run_id, 1, database, sinks=pipeline.sinks, references=references, log_format=log_format,
            log_level=log_level,
        )  # fmt: skip
        drives = driver.record(start.run_id, 1, driver.present(pipeline.plugins.values()), utc_now())
        audit = AuditPlan(
            run_id=start.run_id,
            database=wire(database),
            attempt=1,
            begins=current(lock.name).start(),
            run=RunStart(
                run_id=start.run_id,
                settings_path=str(pipeline.loaded.path) if pipeline.loaded.path else None,
                settings_json=pipeline.loaded.settings_json,
                settings_hash=pipeline.settings_hash(),
                pipeline_hash=pipeline.pipeline_hash(),
                working_directory=plan.working_directory,
                elspeth_version=__version__,
                canonical_version=CANONICAL_VERSION,
            ),
            records=pipeline.node_records()
            | {
                "supervision_events": [
                    drives,
                    memory_marks.record(start.run_id, 1),
                    *file_sets.records(start.run_id, pipeline),
                    *reference_files.records(start.run_id, 1, references),
                ]
            },
            checkpoint=start_checkpoint({node: state.to_value() for node, state in pipeline.sinks.items()}),
            checkpoints=pipeline.settings.checkpoint.enabled,
            supersedes=start.supersedes,
            reason=start.reason,
            inputs=inputs_of(pipeline),
            stdin=stdin_spool.reader_of(pipeline),
            sets=file_sets.in_words(pipeline),
            packed=packed_of(pipeline),
            database_mode=None if (mode := pipeline.settings.landscape.mode) is None else int(mode, 8),
            journal=evidence_delivery.journal_of(pipeline, database, start.run_id),
            payload_base=plan.payload_base,
            working_directory=plan.working_directory,
            log_format=log_format,
            log_level=log_level,
        )
        ended = drive(
            pipeline,
            topology_of(pipeline, plan, audit),
            start.run_id,
            watch=watch,
            on_output=on_output,
            children=children,
        )
        if ended.error is None:
            evidence_delivery.deliver(pipeline, database, start.run_id, state)
            stdin_spool.forget(pipeline, start.run_id, database)
            retire(lock, database, state)
        return ended


def _references(pipeline: Pipeline, notify: Callable[[str], None]) -> ReferenceFiles:
    try:
        return reference_files.keep(pipeline, notify=notify)
    except Temporary as error:  # nothing is on record that could be resumed
        raise Temporary(error.message, next_step="Mend it, then start the run again") from error


def inputs_of(pipeline: Pipeline) -> dict[str, str]:
    """The file behind each source, for the artifact records."""
    found = {node: str(info.files[0]) for node, info in pipeline.sources.items() if info.files}
    return found | {node: path for node, ((path, _, _),) in file_sets.kept(pipeline).items()}


def packed_of(pipeline: Pipeline) -> tuple[str, ...]:
    """The sources whose offsets do not count the bytes of their file: it is compressed."""
    plugins = {node: pipeline.plugins[node] for node in pipeline.sources}
    return tuple(node for node, plugin in plugins.items() if isinstance(plugin, FileSource) and plugin.packed())
