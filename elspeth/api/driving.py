"""Runs and resumes from Python: what the commands of these names do, with an answer or an exception at the end.

What happens meanwhile is told to the logger `elspeth`.
"""

from __future__ import annotations

import logging
import os
import shlex
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from actors.places.local.fork_server import ForkServer
from elspeth.api.recorded import RecordedRun
from elspeth.audit.query.locate import VARIABLE, locate
from elspeth.audit.query.reader import LATEST, AuditReader
from elspeth.audit.query.values import Run
from elspeth.audit.query.verdict import all_failed
from elspeth.audit.store.place import Place, place_of
from elspeth.coordinator.reporting.progress import Progress
from elspeth.errors import ElspethError, RowsFailed, RunInProgress, TakenOver
from elspeth.plugins import registry
from elspeth.refusals import ended_by, refusal, require_address_space
from elspeth.runs.lifecycle import evidence_delivery
from elspeth.runs.lifecycle import resume as resuming
from elspeth.runs.lifecycle import start as starting
from elspeth.runs.lifecycle.drive import AttemptResult
from elspeth.runs.lifecycle.fork_server import fork_server
from elspeth.runs.lifecycle.pipeline import Pipeline, load_pipeline
from elspeth.runs.lifecycle.resume import ResumeOptions, Resumption
from elspeth.runs.lifecycle.start import Start
from elspeth.runs.lifecycle.start_policy import AlreadyDone, choose, receive
from elspeth.runs.views.status import troubled
from elspeth.settings.overrides import as_text

LOG = logging.getLogger("elspeth")

Watch = Callable[[Progress], None]

_driving = threading.Lock()
"""One run at a time in a process: a run has its working directory, and so has the process."""


class Finished(RecordedRun):
    """A run that is complete. `attempt` completed it, and took `seconds`; `notes` are sentences worth reading.

    `already`: it was complete before, and nothing was done.
    """

    def __init__(
        self, database: Place, run_id: str, *, attempt: int, seconds: float = 0.0, notes: tuple[str, ...] = (),
        already: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(database, run_id)
        self.attempt = attempt
        self.seconds = seconds
        self.notes = notes
        self.already = already


def run(
    settings: str | os.PathLike[str],
    *,
    set: Mapping[str, object] | None = None,
    database: str | os.PathLike[str] | None = None,
    auto_resume: bool = False,
    force_new: bool = False,
    fail_on_rows: bool = False,
    allow_all_failed: bool = False,
    dotenv: bool | Path = True,
    reason: str | None = None,
    watch: Watch | None = None,
) -> Finished:
    """Run a pipeline to its end, as `elspeth run --execute` does, and answer the run.

    `set` puts values in place of the file's, by dotted key: `{"concurrency.max_workers": 2}`; other arguments are the
    command's options. `watch` is given the progress some twenty times a second, in this thread. Relative paths count
    from the working directory. Ctrl-C stops the run in order, where this is the main thread.

    Raises the `ElspethError` that the command would end in, with what goes on from there as its `next_step`. One of
    them is `RowsFailed`: the run is complete, but rows came and none went a normal way (unless `allow_all_failed`), or
    some did not and that is to be heard of (`fail_on_rows`).
    """
    overrides = [f"{key}={as_text(value)}" for key, value in (set or {}).items()]
    environ: Mapping[str, str] = os.environ
    if database is not None:
        named = os.fspath(database)
        if "://" in named and not named.startswith("sqlite:"):
            environ = {**environ, VARIABLE: named}  # with a password in it, which settings do not take as such
        else:
            overrides.append(f"landscape.url={_url(named)}")
    with _alone() as children:
        pipeline = load_pipeline(Path(settings), environ=environ, dotenv=dotenv, overrides=overrides)
        for warning in pipeline.loaded.warnings:
            LOG.warning("%s", warning)
        found = choose(
            pipeline, auto_resume=auto_resume, force_new=force_new, dotenv=dotenv, reason=reason, notify=LOG.info
        )
        if isinstance(found, Start):
            found = receive(found, auto_resume=auto_resume, notify=LOG.info)
        match found:
            case Start():
                finished = _first(found, children, watch)
            case Resumption():
                finished = _further(found, children, watch)
            case AlreadyDone(earlier, why):
                where = place_of(pipeline.settings.landscape.url).absolute()
                finished = _already(where, earlier, dotenv, None, f"Nothing was done: {why}.")
        return _judged(finished, fail_on_rows=fail_on_rows, allow_all_failed=allow_all_failed)


def resume(
    run_id: str = LATEST,
    *,
    database: str | os.PathLike[str] | None = None,
    set: Mapping[str, object] | None = None,
    settings: str | os.PathLike[str] | None = None,
    working_directory: str | os.PathLike[str] | None = None,
    take_over: bool = False,
    accept_changed_code: bool = False,
    fail_on_rows: bool = False,
    allow_all_failed: bool = False,
    dotenv: bool | Path = True,
    reason: str | None = None,
    watch: Watch | None = None,
) -> Finished:
    """Continue a run at its next unread row, as `elspeth resume` does, and answer it when it is complete.

    `run_id` is a run's id, the beginning of one, or `latest`. `set` may change what cannot change results. The other
    arguments, and what is raised, are as for `run`. A run that is complete is answered as it is.
    """
    options = ResumeOptions(
        set=tuple(f"{key}={as_text(value)}" for key, value in (set or {}).items()),
        settings=None if settings is None else Path(settings).absolute(),
        working_directory=None if working_directory is None else Path(working_directory),
        take_over=take_over,
        accept_changed_code=accept_changed_code,
        dotenv=dotenv,
        reason=reason,
    )
    with _alone() as children:
        where = locate(None if database is None else os.fspath(database), os.environ, Path.cwd()).absolute()
        found = resuming.prepare(where, run_id, options, notify=LOG.info)
        if found.pipeline is None:
            finished = _already(where, found.run, dotenv, options.working_directory, "Nothing was done.")
        else:
            finished = _further(found, children, watch)
        return _judged(finished, fail_on_rows=fail_on_rows, allow_all_failed=allow_all_failed)


@contextmanager
def _alone() -> Iterator[ForkServer]:
    """A process for children to be forked from; working directory and plugin files as before; errors of ours only."""
    if not _driving.acquire(blocking=False):
        raise RunInProgress(
            "Run already in progress: this process drives one", next_step="wait for it, or use another process"
        )
    try:
        folder = Path.cwd()
        try:
            require_address_space()
            with fork_server() as children, registry.apart():
                yield children
        finally:
            os.chdir(folder)
    except ElspethError:
        raise
    except SystemExit as error:
        raise ended_by(error) from error
    except Exception as error:
        if (found := refusal(error)) is None:
            raise
        raise found from error
    finally:
        _driving.release()


def _first(begin: Start, children: ForkServer, watch: Watch | None) -> Finished:
    drive = partial(starting.execute, begin, children=children, notify=LOG.info)
    notes = tuple(f"Run {run} was given up for this one." for run, _ in begin.supersedes)
    return _driven(drive, begin.pipeline, begin.run_id, begin.database.absolute(), 1, notes, watch)


def _further(found: Resumption, children: ForkServer, watch: Watch | None) -> Finished:
    assert found.pipeline is not None
    drive = partial(resuming.execute, found, children=children, notify=LOG.info)
    run = found.run
    return _driven(drive, found.pipeline, run.run_id, found.database, run.attempt + 1, found.notes, watch)


def _driven(
    drive: Callable[..., AttemptResult], pipeline: Pipeline, run_id: str, database: Place, attempt: int,
    notes: tuple[str, ...], watch: Watch | None,
) -> Finished:  # fmt: skip
    conceal = pipeline.loaded.concealment.text
    LOG.info("run %s, attempt %d, in %s", run_id, attempt, database)
    for note in notes:
        LOG.warning("%s", note)

    def look(progress: Progress) -> None:
        while progress.lines:
            LOG.warning("run %s: %s", run_id, progress.lines.popleft())
        if watch is not None:
            watch(progress)

    def on_output(child: str, line: str) -> None:
        LOG.info("run %s, %s: %s", run_id, child, conceal(line))

    begun = time.monotonic()
    ended = drive(watch=look, on_output=on_output)
    look(ended.progress)  # what was said while the tree shut down
    if ended.error is None:
        grown = tuple(f"{each[:1].upper()}{each[1:]}." for each in pipeline.grown(ended.progress.sources))
        seconds = time.monotonic() - begun
        return Finished(database, run_id, attempt=attempt, seconds=seconds, notes=notes + grown)
    error = ended.error
    recorded = ended.progress.started or attempt > 1
    if pipeline.settings.checkpoint.enabled and recorded and not isinstance(error, TakenOver):
        error = error.then(shlex.join(["elspeth", "resume", run_id, "--database", str(database)]))
    raise error


def _already(database: Place, run: Run, dotenv: bool | Path, directory: Path | None, note: str) -> Finished:
    made = evidence_delivery.finish(database, run, dotenv=dotenv, working_directory=directory)
    return Finished(database, run.run_id, attempt=run.attempt, notes=(note, *made), already=True)


def _judged(finished: Finished, *, fail_on_rows: bool, allow_all_failed: bool) -> Finished:
    """The run, unless somebody should hear of its rows."""
    bad = troubled(finished.counts().outcomes)
    listed = ", ".join(f"{count:,} {name}" for name, count in bad.items())
    with AuditReader(finished.database) as reader:
        none_passed = not allow_all_failed and all_failed(reader, finished.run_id)
    if not none_passed and not (fail_on_rows and bad):
        return finished
    why = "rows came, and none of them went a normal way" if none_passed else "rows did not go the normal way"
    raise RowsFailed(
        f"run {finished.run_id} is complete, but {why}" + (f": {listed}" if listed else ""),
        details=[f"{each.count:,} at {each.node}: {each.reason}" for each in finished.reasons()],
        next_step=shlex.join(["elspeth", "explain", "--database", str(finished.database), "--run", finished.run_id]),
    )


def _url(database: str) -> str:
    from urllib.parse import quote

    return database if "://" in database else f"sqlite:///{quote(database)}"
