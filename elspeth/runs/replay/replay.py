"""A replay from its beginning to what it came to: what is needed for one, the walk, and the comparison."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from elspeth import ids
from elspeth.audit.explain.payload_reader import PayloadReader, bases_of
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.query.values import NodeRecord, Run
from elspeth.audit.store.place import Place
from elspeth.audit.store.scratch import translated_errors
from elspeth.errors import ElspethError, RunInProgress, SettingsError
from elspeth.runs.lifecycle import driver, reference_files
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline, load_stored_pipeline
from elspeth.runs.lifecycle.requirements import changed_plugins
from elspeth.runs.replay.compare import Comparison, Difference
from elspeth.runs.replay.decided import Decided
from elspeth.runs.replay.record import RunRecord
from elspeth.runs.replay.stand_ins import StandIns
from elspeth.runs.replay.walk import Walk, Walked
from elspeth.settings.load import credential_variables, stored_variables

LISTED = 1000
"""So many differences are kept one by one; all are counted."""

NOT_NEEDED = "not-needed-for-a-replay"
"""Stands for a credential that is not at hand: nobody is asked."""


@dataclass(frozen=True, slots=True)
class ReplayOptions:
    """What may be said about a replay. `settings` is another pipeline file, to be tried on the recorded rows."""

    settings: Path | None = None
    working_directory: Path | None = None
    dotenv: bool | Path = True
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)


@dataclass(slots=True)
class Replayed:
    """What a replay came to. `different` counts the rows that differ, `differences` holds the first ones.

    `anew` counts calls that are not on record, by node and provider, `anew_rows` are the rows they are about;
    `as_recorded` and `not_kept` count by node what was not decided again: steps that are not deterministic and whose
    calls are not on record, and answers that were not to be kept.
    """

    run_id: str
    settings: Path | None
    rows: int
    answers: int
    different: int = 0
    differences: list[Difference] = field(default_factory=list)
    anew: Counter[tuple[str, str]] = field(default_factory=Counter)
    anew_rows: list[int] = field(default_factory=list)
    as_recorded: Counter[str] = field(default_factory=Counter)
    not_kept: Counter[str] = field(default_factory=Counter)
    by_clock: bool = False
    notes: list[str] = field(default_factory=list)
    pipeline: Pipeline | None = None

    @property
    def same(self) -> bool:
        """Whether every decision came out as it is on record, and nothing would have to be asked anew."""
        return not self.different and not self.anew


def replay(
    database: Place, reference: str, options: ReplayOptions, *, watch: Callable[[int], None] = lambda rows: None
) -> Replayed:
    """Decide a run again from what is on record of it. Nothing is sent, and nothing is written.

    Raises `RunNotFound`, `RunInProgress` for a run that has not ended, and `ElspethError` where what is needed was
    purged, removed or lost, `Temporary` where there is no room for what is decided.
    """
    with AuditReader(database) as reader, reader.snapshot(), translated_errors(database):
        run = reader.run(reference)
        nodes = {node.node_id: node for node in reader.nodes(run.run_id)}
        _require_ended(run)
        _require_rows(reader, run)
        found = bases_of(run.settings_json, str(options.working_directory or run.working_directory))
        bases = tuple(path.absolute() for path in found)
        contents = PayloadReader(bases, purged=False)
        record = RunRecord(reader.connection, run.run_id, contents)
        here = Path.cwd()
        with (
            contextlib.chdir(_directory(run, options)) if options.settings is None else contextlib.nullcontext(),
            tempfile.TemporaryDirectory(prefix="elspeth-replay-") as own,
        ):
            state, copies = Path(own) / "state", Path(own) / "references"
            state.mkdir()
            copies.mkdir()
            pipeline, notes = _pipeline(reader, run, nodes, options, StandIns(run.run_id, bases, copies))
            with Decided(pipeline.copies) as decided:
                walk = Walk(pipeline, record, decided, state, _sources(run, nodes, pipeline))
                walked = walk.run(to_the_end=run.status == "completed" or record.ended(), watch=watch)
                os.chdir(here)
                comparison = Comparison(
                    reader.connection, decided.connection, run.run_id, contents,
                    same_settings=options.settings is None,
                )  # fmt: skip
                return _result(run, options, walked, comparison, notes, pipeline)


def _require_ended(run: Run) -> None:
    if run.status == "running":
        raise RunInProgress(
            f"run {run.run_id} has not ended: what it will have decided is not on record yet",
            next_step=f"elspeth status {run.run_id}  (one that died is finished by elspeth resume)",
        )


def _require_rows(reader: AuditReader, run: Run) -> None:
    actions = [action for action in reader.operator_actions(run.run_id) if action.action in ("purge", "remove")]
    if actions:
        last = actions[-1]
        what = "its records were removed"
        if last.action == "purge":
            files = reference_files.recorded(reader, run.run_id)
            besides = " and the content of its reference files" if files else ""
            what = f"the bodies of its rows{besides} were forgotten"
        raise ElspethError(
            f"run {run.run_id} cannot be replayed: {what} by {last.action} on {last.created_at[:10]} ({last.user})",
            details=["what is left, hashes and ways, still holds: a replay needs the data itself"],
            next_step=f"elspeth verify {run.run_id}",
        )


def _directory(run: Run, options: ReplayOptions) -> Path:
    """Where relative paths of the stored settings count from."""
    found = (options.working_directory or Path(run.working_directory)).absolute()
    if not found.is_dir():
        raise ElspethError(
            f"the working directory of run {run.run_id} is not here: {found}",
            details=["plugins and reference files of its own are found from there"],
            next_step=f"elspeth replay {run.run_id} --working-directory DIR",
        )
    return found


def _pipeline(
    reader: AuditReader, run: Run, nodes: Mapping[str, NodeRecord], options: ReplayOptions, stand_ins: StandIns
) -> tuple[Pipeline, list[str]]:
    """The pipeline that decides, and what is to be said of it: what is not as it was when the run was driven.

    Where the settings are those of the run, its reference files are read as they were then.
    """
    notes: list[str] = []
    if options.settings is not None:
        variables = credential_variables(options.settings)
        pipeline = load_pipeline(options.settings, environ=_with_stand_ins(variables, options), dotenv=options.dotenv)
    else:
        pipeline = load_stored_pipeline(
            run.settings_json,
            environ=_with_stand_ins(stored_variables(run.settings_json), options),
            dotenv=options.dotenv,
        )
        stand_ins.use(pipeline, reference_files.recorded(reader, run.run_id))
        notes += stand_ins.notes
        notes += changed_plugins(run, pipeline, nodes, f"elspeth replay {run.run_id}")
        drivers = driver.recorded(reader, run.run_id)
        if drivers:
            deciding, besides = driver.differences(drivers[max(drivers)], driver.present(pipeline.plugins.values()))
            notes += [*deciding, *besides]
    for node in pipeline.graph.of_kind("source"):
        with contextlib.suppress(ElspethError, OSError):  # without its input, names are what the options make of them
            pipeline.sources[node.id] = pipeline.source(node.id).describe()
    return pipeline, notes


def _with_stand_ins(variables: Iterable[str], options: ReplayOptions) -> dict[str, str]:
    """The environment, with something in the place of credentials that are not there: nobody is asked."""
    return {**dict.fromkeys(variables, NOT_NEEDED), **options.environ}


def _sources(run: Run, nodes: Mapping[str, NodeRecord], pipeline: Pipeline) -> Callable[[str], str]:
    """Which source of the pipeline a source on record is. Raises `SettingsError` where it is none of them."""
    there = [node.id for node in pipeline.graph.of_kind("source")]
    recorded = [node.node_id for node in nodes.values() if node.node_type == "source"]
    if len(there) == len(recorded) == 1:
        return lambda source: there[0]
    lost = [source for source in recorded if source not in there]
    if lost:
        raise SettingsError(
            f"run {run.run_id} read rows from {', '.join(lost)}, which is no source of these settings",
            details=[f"its sources are: {', '.join(there)}"],
            next_step="give the sources the names that they have on record",
        )
    return lambda source: source


def _result(
    run: Run, options: ReplayOptions, walked: Walked, comparison: Comparison, notes: list[str], pipeline: Pipeline
) -> Replayed:
    taken = walked.taken
    rows = Counter(ids.row_index(place) for place, *_ in taken.anew)
    found = Replayed(
        run.run_id, options.settings, walked.rows, walked.answers, as_recorded=taken.as_recorded,
        anew=Counter((node, provider) for _, node, _, provider in taken.anew), anew_rows=sorted(rows),
        not_kept=taken.not_kept, by_clock=walked.by_clock, notes=notes, pipeline=pipeline,
    )  # fmt: skip
    for difference in comparison.differences():
        if difference.row in rows:
            continue  # what it would become depends on what it is answered
        found.different += 1
        if len(found.differences) < LISTED:
            found.differences.append(difference)
    if options.settings is None and found.same and not walked.by_clock:
        for difference in islice(comparison.order(), 1):
            found.different += 1
            found.differences.append(difference)
    return found
