"""What `run --execute` does when there are earlier runs: start, resume, leave it at that, or refuse."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from elspeth.audit.query.locate import is_blank
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import Run
from elspeth.audit.store.database import require_whole
from elspeth.audit.store.place import Place, place_of
from elspeth.errors import ConfigurationMismatch, ElspethError, NewerVersion, SettingsError
from elspeth.runs.lifecycle import file_sets, resume, start, stdin_spool
from elspeth.runs.lifecycle.file_sets import FileSets
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.lifecycle.resume import ResumeOptions, Resumption
from elspeth.runs.lifecycle.start import Start
from elspeth.runs.liveness.run_assessment import RunAssessment, assessments, outputs_of, resumable
from elspeth.settings import changes

QUICK_BYTES = 64 * 1024 * 1024
"""Up to this size a database is looked over before a run is added to it: which takes less than starting a process."""


@dataclass(frozen=True, slots=True)
class AlreadyDone:
    """The pipeline's last run completed, and nothing it depends on has changed since."""

    run: Run
    why: str = "neither settings nor source changed since"


def choose(
    pipeline: Pipeline,
    *,
    auto_resume: bool = False,
    force_new: bool = False,
    dotenv: bool | Path = True,
    reason: str | None = None,
    notify: Callable[[str], None] = lambda line: None,
) -> Start | Resumption | AlreadyDone:
    """Decide, before anything is touched.

    An unfinished run of this pipeline, or one with the same outputs, is in the way: it is refused (`RunInProgress`),
    resumed (`auto_resume`) or given up (`force_new`, unless it is alive). Without one, `auto_resume` leaves a completed
    run at that if neither settings nor sources have changed. Raises `ConfigurationMismatch` where the settings were
    changed beside an unfinished run.
    """
    database = place_of(pipeline.settings.landscape.url)
    in_the_way: list[RunAssessment] = []
    last: Run | None = None
    if isinstance(database, Path):
        require_whole(database, None if force_new else QUICK_BYTES)
    if not is_blank(database):
        with AuditReader(database) as reader:
            runs = [run for run in reader.runs() if _same_pipeline(run, pipeline)]
            last = runs[0] if runs else None
            mine = _outputs(pipeline)
            found = [
                run
                for run in filter(resumable, reader.runs())
                if run in runs or mine & outputs_of(run, reader.checkpoint(run.run_id))
            ]
            in_the_way = assessments(reader, found, patience=60.0 if auto_resume else 0.0, notify=notify)
            if not in_the_way and auto_resume and last is not None and _unchanged(reader, last, pipeline):
                return AlreadyDone(last)
    if in_the_way and force_new:
        return _force(pipeline, in_the_way, reason)
    if in_the_way and auto_resume and _same_pipeline(in_the_way[0].run, pipeline):
        return _resume(pipeline, database, in_the_way[0], dotenv, notify)
    if in_the_way:
        raise _refusal(in_the_way[0])
    return start.prepare(pipeline)


def receive(begin: Start, *, auto_resume: bool, notify: Callable[[str], None]) -> Start | AlreadyDone:
    """Take standard input where a source reads it; with `auto_resume` what comes may be what a completed run has read.

    So may nothing at all: a container that is started again has no standard input. Raises like `start.receive`.
    """
    begin = start.receive(begin, notify=notify)
    pipeline, node = begin.pipeline, stdin_spool.reader_of(begin.pipeline)
    if begin.lock is None or node is None or not auto_resume or is_blank(begin.database):
        return begin
    ((_, size, _),) = file_sets.present(pipeline)[node]
    with AuditReader(begin.database) as reader:
        last = next((run for run in reader.runs() if _same_pipeline(run, pipeline)), None)
        if last is None or last.status != "completed" or not _same_settings(last, pipeline):
            return begin
        ((_, size_then, _),) = file_sets.recorded(reader, last.run_id).get(node, [("", -1, 0)])
        same = size == size_then and _unchanged(reader, last, pipeline, stdin=node)
    if size and not same:
        return begin
    stdin_spool.discard(pipeline, begin.run_id, begin.lock)
    return AlreadyDone(last) if same else AlreadyDone(last, "and standard input is empty")


def _same_pipeline(run: Run, pipeline: Pipeline) -> bool:
    """The same settings file, or another copy of the same settings, for the same working directory."""
    if run.working_directory != str(Path.cwd()):
        return False
    path = pipeline.loaded.path
    same_file = (
        path is not None
        and run.settings_path is not None
        and os.path.realpath(run.settings_path) == os.path.realpath(path)
    )
    return same_file or _same_settings(run, pipeline)


def _same_settings(run: Run, pipeline: Pipeline) -> bool:
    """Hashes tell where both hold their defaults; settings that were stored without mean those of their version."""
    if run.settings_hash == pipeline.settings_hash():
        return True
    try:
        return not changes(json.loads(run.settings_json), pipeline.loaded.document, pipeline.loaded.positions)
    except (ValueError, LookupError, TypeError, SettingsError, NewerVersion):
        return False  # not settings that this version understands, so not these


def _outputs(pipeline: Pipeline) -> set[str]:
    files = (path for node in pipeline.graph.of_kind("sink") for path in pipeline.sink(node.id).outputs())
    return {os.path.realpath(path) for path in files}  # Path.resolve raises where links lead in a circle


def _refusal(found: RunAssessment) -> Exception:
    if found.verdict.dead:
        error = found.in_progress("did not finish, and nobody drives it now")
        error.next_step = (
            f"finish it: elspeth resume {found.run.run_id}   or give it up: add --force-new to this command"
        )
        return error
    return found.in_progress()


def _force(pipeline: Pipeline, in_the_way: list[RunAssessment], reason: str | None) -> Start:
    for found in in_the_way:
        if not found.verdict.dead:
            raise found.in_progress("is not dead, so it is not given up")
    superseded = tuple((found.run.run_id, found.run.attempt) for found in in_the_way)
    return replace(start.prepare(pipeline), supersedes=superseded, reason=reason)


def _resume(
    pipeline: Pipeline, database: Place, found: RunAssessment, dotenv: bool | Path, notify: Callable[[str], None]
) -> Resumption:
    loaded = pipeline.loaded
    keys = changes(json.loads(found.run.settings_json), loaded.document, loaded.positions)
    if keys:
        raise ConfigurationMismatch(
            f"Configuration mismatch: the settings changed beside the unfinished run {found.run.run_id}",
            details=[f"differs: {key}" for key in keys],
            next_step=f"elspeth resume {found.run.run_id}  (with the stored settings), or run with --force-new",
        )
    return resume.prepare(database, found.run.run_id, ResumeOptions(dotenv=dotenv), notify=notify)


def _unchanged(reader: AuditReader, last: Run, pipeline: Pipeline, stdin: str | None = None) -> bool:
    """Whether settings and sources are what they were; of `stdin`, a source, the size was compared."""
    if last.status != "completed" or not _same_settings(last, pipeline):
        return False
    inputs = [artifact for artifact in reader.artifacts(last.run_id) if artifact.kind == "input" and artifact.path]
    if len(inputs) < len(pipeline.graph.of_kind("source")):
        return False  # a source that cannot prove itself may have anything to say
    sets = file_sets.recorded(reader, last.run_id)
    now = file_sets.present(pipeline)
    others = [{node: files for node, files in found.items() if node != stdin} for found in (sets, now)]
    if others[0] != others[1] or sets.keys() != now.keys() or not _sets_unchanged(reader, last, pipeline, sets):
        return False
    return all(_digest(Path(str(one.path))) == one.content_hash for one in inputs if one.node_id not in sets)


def _sets_unchanged(reader: AuditReader, last: Run, pipeline: Pipeline, sets: FileSets) -> bool:
    """Whether all that was read of the files of these sources is still there; nothing was added, as their sizes say."""
    held = reader.checkpoint(last.run_id)
    if sets and held is None:
        return False
    for node_id in sets:
        position = held.read().source_positions.get(node_id) if held is not None else None
        if position is None or position.proof is None:
            return False
        if position.cursor is None:
            continue
        try:
            pipeline.source(node_id).check(position.cursor, position.proof)
        except ElspethError:
            return False
    return True


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
