"""What would stop a resume of one run: everything that `resume` demands, asked for without resuming."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from elspeth.audit.query.values import NodeRecord, Run
from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.outputs import OutputInfo, Replaced, sink_states
from elspeth.plugins import registry
from elspeth.runs.doctor.cluster import check_cluster
from elspeth.runs.doctor.disk import Need, check_room, growth
from elspeth.runs.doctor.findings import Findings
from elspeth.runs.lifecycle import requirements
from elspeth.runs.lifecycle.drive import state_directory
from elspeth.runs.lifecycle.driver import Driver
from elspeth.runs.lifecycle.evidence_delivery import journal_of
from elspeth.runs.lifecycle.file_sets import FileSets, fix
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.liveness.run_assessment import RunAssessment


def preflight_run(
    state: RunAssessment,
    nodes: Mapping[str, NodeRecord],
    drivers: Mapping[int, Driver],
    findings: Findings,
    *,
    sets: FileSets,
    database: Place,
    database_bytes: int,
    environ: Mapping[str, str],
    dotenv: bool | Path,
) -> None:
    """Check everything that a resume of this run depends on. `database_bytes` is the run's share of the database.

    Nothing is changed; the working directory is the recorded one for the time of the checks.
    """
    run = state.run
    with _staying_here(), registry.apart():
        checkpoint: Checkpoint | None = None
        with findings.noting("checkpoint"):
            checkpoint = requirements.require_checkpoint(run, state.checkpoint)
        with findings.noting("folder"):
            requirements.require_own_folder(run, database, state.attempt, None)
        if not findings.ask("working directory", lambda: requirements.enter(run)):
            findings.add("settings", "note", "settings, code, sources and outputs were not checked: they are elsewhere")
            return
        pipeline: Pipeline | None = None
        with findings.noting("settings"):
            pipeline = requirements.require_settings(run, environ=environ, dotenv=dotenv)
        if pipeline is None:
            return
        fix(pipeline, sets)
        findings.add("settings", "ok", "the stored settings can be used, and their variables are set")
        _preflight_pipeline(run, pipeline, nodes, drivers, checkpoint, findings)
        if (cluster := pipeline.settings.cluster) is not None and state.verdict.dead:
            check_cluster(cluster, findings)
        if checkpoint is not None:
            journal = journal_of(pipeline, database, run.run_id)
            _preflight_room(pipeline, checkpoint, database, database_bytes, journal, findings)


def _preflight_pipeline(
    run: Run, pipeline: Pipeline, nodes: Mapping[str, NodeRecord], drivers: Mapping[int, Driver],
    checkpoint: Checkpoint | None, findings: Findings,
) -> None:  # fmt: skip
    def code() -> str:
        for note in requirements.require_same_code(run, pipeline, nodes, drivers):
            findings.add("code", "note", note)
        if not drivers:
            return "plugins and reference files are what they were"
        return f"plugins, reference files and Elspeth are what they were: {drivers[max(drivers)]}"

    findings.ask("code", code)
    if checkpoint is None:
        return
    with findings.noting("checkpoint"):
        requirements.require_not_ended(run, pipeline, checkpoint)
    for node in pipeline.graph.of_kind("source"):

        def source(node_id: str = node.id) -> str:
            requirements.check_source(pipeline, node_id, checkpoint)
            return f"source {node_id}: what was read of it is unchanged"

        findings.ask("source", source)
    for node in pipeline.graph.of_kind("sink"):

        def output(node_id: str = node.id) -> str:
            requirements.check_output(run, pipeline, node_id, checkpoint)
            return f"sink {node_id}: what was committed is there"

        if findings.ask("output", output):
            _note_cut(node.id, sink_states(checkpoint.sink_positions)[node.id].output, findings)


def _note_cut(node_id: str, output: OutputInfo, findings: Findings) -> None:
    """Say what a resume cuts off: what stands behind the committed position of a file."""
    if output.resolved is None or output.size is None:
        return
    path = Path(output.resolved)
    try:
        facts = path.stat()
    except FileNotFoundError:
        return
    size = output.size
    if size == 0 and output.replaces == Replaced(facts.st_size, facts.st_mtime_ns):
        findings.add("output", "note", f"sink {node_id}: {path} was there before this run and will be overwritten")
    elif facts.st_size > size:
        tail = f"{facts.st_size - size:,} bytes behind the last commit"
        findings.add(
            "output", "note", f"sink {node_id}: {tail} will be cut off",
            f"{path} has {facts.st_size:,} bytes, {size:,} of them are committed; a copy of the rest is kept",
        )  # fmt: skip


def _preflight_room(
    pipeline: Pipeline, checkpoint: Checkpoint, database: Place, database_bytes: int, journal: str | None,
    findings: Findings,
) -> None:  # fmt: skip
    done = _share_read(pipeline, checkpoint)
    needs = [Need(state_directory(pipeline), 0)]
    if not isinstance(database, PostgresPlace):  # of a server's disk nobody can tell from here
        needs.insert(0, Need(database, growth(database_bytes, done)))
    if journal is not None:
        needs.append(Need(Path(journal), growth(_size(Path(journal)), done)))
    needs += [
        Need(Path(state.output.resolved), growth(state.output.size or 0, done))
        for state in sink_states(checkpoint.sink_positions).values()
        if state.output.resolved is not None
    ]
    findings.ask("disk space", lambda: check_room(needs))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # not begun yet, or out of reach: then the resume says so


def _share_read(pipeline: Pipeline, checkpoint: Checkpoint) -> float | None:
    """The share of the input that was read, None where the sources cannot tell."""
    offsets = [position.offset for position in checkpoint.source_positions.values()]
    size = pipeline.size() if len(pipeline.sources) == len(pipeline.graph.of_kind("source")) else None
    if not size or None in offsets:
        return None
    return min(1.0, sum(offset or 0 for offset in offsets) / size)


@contextlib.contextmanager
def _staying_here() -> Iterator[None]:
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield
    finally:
        os.fchdir(here)
        os.close(here)
