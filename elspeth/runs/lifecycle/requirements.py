"""What must hold before a run can be continued, one function per requirement: `resume` demands it, `doctor` reports it.

Each looks only, and raises the error that a resume would end in.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from elspeth import __version__
from elspeth.audit.query.values import Attempt, CheckpointRecord, NodeRecord, Run
from elspeth.audit.store.place import Place, PostgresPlace
from elspeth.coordinator.checkpoint import Checkpoint
from elspeth.errors import ConfigurationMismatch, ElspethError, NoCheckpoint, PersonNeeded, SettingsError, Temporary
from elspeth.outputs import sink_states
from elspeth.runs.lifecycle.drive import state_directory
from elspeth.runs.lifecycle.driver import Driver, differences, present
from elspeth.runs.lifecycle.pipeline import Pipeline, load_stored_pipeline
from elspeth.settings import SettingsProblems


def require_unfinished(run: Run) -> None:
    """Raise `ElspethError` if the run was given up, for another run or by an operator."""
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


def require_checkpoint(run: Run, held: CheckpointRecord | None) -> Checkpoint:
    """What the run's latest checkpoint says. Raises `NoCheckpoint`, `NewerVersion`."""
    if held is None:
        where = run.settings_path or "pipeline.yaml"
        raise NoCheckpoint(
            f"No checkpoint available: run {run.run_id} wrote none, so there is nothing to continue from",
            next_step=f"elspeth run --settings {where} --execute --force-new",
        )
    return held.read()


def require_not_ended(run: Run, pipeline: Pipeline, checkpoint: Checkpoint) -> None:
    """Raise `PersonNeeded` if the checkpoint is a run's last, which one commit makes with the status `completed`.

    So no death leaves the run with another status. Its outputs are closed, and there is nothing to continue.
    """
    held = checkpoint.source_positions
    if not all(node.id in held and held[node.id].ended for node in pipeline.graph.of_kind("source")):
        return
    raise PersonNeeded(
        f"run {run.run_id} is on record as {run.status}, but its last checkpoint is that of a run that was completed",
        details=["both are written by one commit: somebody has changed the audit database since"],
        next_step=f"elspeth verify {run.run_id}",
    )


def enter(run: Run, instead: Path | None = None) -> None:
    """Change into the recorded working directory, or the one it is `instead`. Raises `ElspethError`."""
    directory = (instead or Path(run.working_directory)).absolute()
    try:
        os.chdir(directory)
    except OSError as error:
        raise ElspethError(
            f"the working directory of run {run.run_id} cannot be entered: {directory}: {error.strerror}",
            next_step=f"elspeth resume {run.run_id} --working-directory DIR",
        ) from None


def require_own_folder(run: Run, database: Place, attempt: Attempt, instead: Path | None) -> None:
    """Raise `SettingsError` if this database is that of a copied folder, and nobody has said whose files are meant.

    A database that lies elsewhere than it was recorded, in a folder where it has the same relative place, is a copy as
    long as the recorded folder is still there: a resume would go on with the files of the original. One that lies in no
    folder is nobody's copy.
    """
    if instead is not None or attempt.lock_path is None or isinstance(database, PostgresPlace):
        return
    recorded = Path(run.working_directory)
    inside = os.path.relpath(Path(attempt.lock_path).parent.parent, os.path.realpath(recorded))
    relative = Path(inside) / database.name
    folder = Path(os.path.realpath(database))
    for _ in relative.parts:
        folder = folder.parent
    if ".." in relative.parts or not (folder / relative).exists() or not recorded.is_dir():
        return
    if folder.samefile(recorded):
        return
    raise SettingsError(
        f"run {run.run_id} was started in {recorded}, and this audit database is in a copy of that folder, {folder}",
        details=[
            f"to go on in the copy: elspeth resume {run.run_id} --database {database} --working-directory {folder}",
            f"to go on in the original: elspeth resume {run.run_id} --database {recorded / relative}",
        ],
        next_step="type the one that is meant; the outputs of the other stay as they are",
    )


def require_settings(
    run: Run, *, environ: Mapping[str, str] = os.environ, dotenv: bool | Path = True, overrides: Sequence[str] = (),
    again: str | None = None,
) -> Pipeline:  # fmt: skip
    """The pipeline of the stored settings, with relative paths from the present working directory.

    `again` is the command to be typed when what is missing has been mended, `elspeth resume` by default.

    Raises `SettingsProblems` where a variable that they need is not set, a plugin is gone, or an override is refused.
    """
    try:
        return load_stored_pipeline(run.settings_json, environ=environ, dotenv=dotenv, overrides=overrides)
    except SettingsProblems as error:
        raise SettingsProblems(
            error.problems, next_step=f"mend what is listed, then: {again or f'elspeth resume {run.run_id}'}"
        ) from None


def require_same_code(
    run: Run,
    pipeline: Pipeline,
    nodes: Mapping[str, NodeRecord],
    drivers: Mapping[int, Driver],
    *,
    again: str | None = None,
) -> tuple[str, ...]:
    """Raise `ConfigurationMismatch` unless what decides results is what it was: plugins, reference files, Elspeth.

    Raises `Temporary` where a reference file cannot be read: the run had it, and goes on as soon as it is back.
    `drivers` says what drove the attempts so far; the latest counts. Answers what differs without deciding anything.
    `again` is the command to be typed with one word more, `elspeth resume` by default.
    """
    again = again or f"elspeth resume {run.run_id}"
    changed = changed_plugins(run, pipeline, nodes, again)
    if drivers:
        deciding, notes = differences(drivers[max(drivers)], present(pipeline.plugins.values()))
        changed += deciding
    else:
        notes = [f"what drove run {run.run_id} so far was not recorded, so it cannot be told whether Elspeth changed"]
        if run.elspeth_version != __version__:
            notes.append(f"Elspeth {run.elspeth_version} then, {__version__} now")
    if not changed:
        return tuple(notes)
    raise ConfigurationMismatch(
        f"Configuration mismatch: what decides the results of run {run.run_id} is not what it was",
        details=changed + notes,
        next_step=f"{again} --accept-changed-code",
    )


def changed_plugins(run: Run, pipeline: Pipeline, nodes: Mapping[str, NodeRecord], again: str) -> list[str]:
    """Which plugins and reference files are not what they were when the run began, a sentence each.

    Raises `Temporary` where a reference file cannot be read; `again` is then the command to be typed.
    """
    try:
        if pipeline.pipeline_hash() == run.pipeline_hash:
            return []
    except SettingsError as error:  # a reference file: no setting is wrong that was right when the run began
        raise Temporary(error.message, next_step=f"put it back as it was, then: {again}") from error
    changed = []
    for node_id, (version, digest, _) in sorted(pipeline.code().items()):
        before = nodes.get(node_id)
        if before is None or (before.plugin_version, before.source_hash) != (version, digest):
            then = before and before.plugin_version
            changed.append(f"{node_id}: plugin code changed (version {then} then, {version} now)")
    files = sorted({str(path) for plugin in pipeline.plugins.values() for path in plugin.reference_files()})
    named = f" ({', '.join(files[:5])})" if files else ""
    return changed or [f"a reference file of a plugin changed{named}, or the stored settings were altered"]


def check_source(pipeline: Pipeline, node_id: str, checkpoint: Checkpoint) -> None:
    """Prove that what was read of a source is still there, and look at it anew. Raises `SourceChanged` and the like."""
    plugin = pipeline.source(node_id)
    held = checkpoint.source_positions.get(node_id)
    if held is not None and held.cursor is not None and held.proof is not None:
        plugin.check(held.cursor, held.proof)
    pipeline.sources[node_id] = plugin.describe()


def check_output(run: Run, pipeline: Pipeline, node_id: str, checkpoint: Checkpoint) -> None:
    """Prove that an output holds what the checkpoint says. Raises `OutputDamaged`, `Temporary`."""
    plugin = pipeline.sink(node_id)
    plugin.setup(pipeline.sink_context(run.run_id, node_id, state_directory(pipeline)))
    plugin.check(sink_states(checkpoint.sink_positions)[node_id].position)
