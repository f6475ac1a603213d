"""Standard input as a source: kept in a file before the run begins, so that it can be read again after a crash.

The file is `state/stdin/RUN_ID`, and `RUN_ID.partial` until all of it is on disk. It is written under the lock of the
run's first attempt, which tells whose it is before the run is on record: one whose lock file lies where those of our
database do, and is held by nobody, was left by a process that died before its run began.
"""

from __future__ import annotations

import contextlib
import os
import select
import stat
from collections.abc import Callable
from pathlib import Path

from actors.crash_points import crash_point
from elspeth.audit.query.locate import is_blank
from elspeth.audit.query.reader import AuditReader
from elspeth.audit.store.place import Place
from elspeth.durable import PRIVATE, make_folder, sync_folder, why, write_all
from elspeth.errors import ElspethError, SettingsError, Temporary
from elspeth.plugins.sources.file_set import FileEntry, stdin_folder
from elspeth.plugins.sources.files import FileSource
from elspeth.runs.lifecycle.drive import state_directory
from elspeth.runs.lifecycle.pipeline import Pipeline
from elspeth.runs.liveness.holding import HeldLock, file_of, hold
from elspeth.runs.liveness.locks import probe, sweep
from elspeth.runs.liveness.run_assessment import resumable

STDIN = 0
BLOCK_BYTES = 1 << 20
ROOM_BYTES = 64 << 20
"""So much of the disk is left to the run; asked for again whenever as much has come in."""

PARTIAL = ".partial"


def reader_of(pipeline: Pipeline) -> str | None:
    """The source that reads standard input, if there is one."""
    for node in pipeline.graph.of_kind("source"):
        plugin = pipeline.plugins[node.id]
        if isinstance(plugin, FileSource) and plugin.options.reads_stdin:
            return node.id
    return None


def take(
    pipeline: Pipeline, run_id: str, database: Place, *, notify: Callable[[str], None] = lambda line: None
) -> HeldLock | None:
    """Keep standard input in a file to its end, and let its source read that; answers the lock of the first attempt.

    None if no source reads it. What inspection has to say of it is raised here; then the file stays, and the error says
    so. Where it could not be read to its end, nothing stays. Raises `SettingsError`, `Temporary`, `SettingsProblems`.
    """
    node = reader_of(pipeline)
    if node is None:
        return None
    _refuse_terminal(node)
    state = state_directory(pipeline)
    folder = stdin_folder(state)
    path = folder / run_id
    lock = hold(database, state, run_id, 1, keeps_files=True)
    try:
        remove_leftovers(state, database, whole=False)
        notify(f"Reading standard input into {path}; the run begins when it ends.")
        entry = _keep(folder, run_id)
    except BaseException:
        lock.discard()
        raise
    try:
        source = pipeline.plugins[node]
        assert isinstance(source, FileSource)
        source.fix([(entry.path, entry.size, entry.mtime_ns)])
        pipeline.inspect(state)
    except ElspethError as error:
        error.details = [*error.details, kept_words(path)]  # type: ignore[assignment]
        lock.release()
        raise
    return lock


def kept_words(path: Path) -> str:
    """That what came is not lost although no run began."""
    return f"what came by standard input is kept in {path} until a run is complete: to use it, add  < {path}"


def forget(pipeline: Pipeline, run_id: str, database: Place) -> None:
    """The run is complete, and nobody reads its standard input again; nor that of runs that were given up."""
    if reader_of(pipeline) is None:
        return
    crash_point("stdin.before_forgotten")
    with contextlib.suppress(OSError):  # whoever completes a run next will do it, and so does a purge
        (stdin_folder(state_directory(pipeline)) / run_id).unlink(missing_ok=True)
    crash_point("stdin.after_forgotten")
    remove_leftovers(state_directory(pipeline), database, whole=True)


def discard(pipeline: Pipeline, run_id: str, lock: HeldLock) -> None:
    """No run will begin with what was kept."""
    (stdin_folder(state_directory(pipeline)) / run_id).unlink(missing_ok=True)
    lock.discard()


def remove_leftovers(state: Path, database: Place, *, whole: bool) -> None:
    """Delete what was kept for runs of this database that never began, or were given up; `whole` ones too or not."""
    for path in leftovers(state, database):
        if path.suffix != PARTIAL and not whole:
            continue
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
            sweep([file_of(database, state, path.stem, 1)])


def leftovers(state: Path, database: Place) -> list[Path]:
    """Files that no run of this database will read any more. Those of other databases are none of ours."""
    try:
        files = sorted(stdin_folder(state).iterdir())
    except OSError:
        return []
    runs = {}
    try:
        # In this order: who holds no lock now, and is not on record after that, will never be.
        ended = {path.stem for path in files if _ended(file_of(database, state, path.stem, 1))}
        if not is_blank(database):
            with AuditReader(database) as reader:
                runs = {run.run_id: run for run in reader.runs()}
    except ElspethError:
        return []  # who cannot tell takes nothing away
    return [path for path in files if (not resumable(runs[path.stem]) if path.stem in runs else path.stem in ended)]


def _ended(lock: Path) -> bool:
    found = probe(lock)
    return found.state == "free" or (found.state == "unreachable" and found.undescribed)


def _refuse_terminal(node: str) -> None:
    if os.isatty(STDIN):
        raise SettingsError(
            f"source {node} reads standard input, which is a terminal here",
            next_step="Pipe it in (COMMAND | elspeth run ..., or elspeth run ... < FILE), or give the source a path.",
        )


def _keep(folder: Path, run_id: str) -> FileEntry:
    """Copy standard input to its end into a file of its own, durably."""
    path, partial = folder / run_id, folder / (run_id + PARTIAL)
    try:
        make_folder(folder)
        _expect_room(folder, _waiting())
        crash_point("stdin.before_created")
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
    except OSError as error:
        raise _not_kept(partial, error) from error
    try:
        try:
            _copy(descriptor, folder)
            crash_point("stdin.before_synced")
            os.fsync(descriptor)
            facts = os.fstat(descriptor)
        finally:
            os.close(descriptor)
        crash_point("stdin.before_named")
        partial.rename(path)
        sync_folder(folder)
        crash_point("stdin.after_named")
    except BaseException as error:  # refused by the system, or stopped by a signal
        partial.unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise _not_kept(partial, error) from error
        raise
    return FileEntry(str(path), facts.st_size, facts.st_mtime_ns)


def _copy(descriptor: int, folder: Path) -> None:
    unasked = 0
    while block := _read():
        unasked += len(block)
        if unasked >= ROOM_BYTES:
            _expect_room(folder, 0)
            unasked = 0
        write_all(descriptor, block)
        crash_point("stdin.in_copy")


def _read() -> bytes:
    while True:
        try:
            return os.read(STDIN, BLOCK_BYTES)
        except BlockingIOError:  # whoever gave it to us reads it without waiting
            select.select([STDIN], [], [])
        except OSError as error:
            raise Temporary(
                f"standard input could not be read to its end: {why(error)}",
                details=("nothing was begun, and nothing of it is kept",),
                next_step="Mend it, then type the same command again.",
            ) from error


def _waiting() -> int:
    """Bytes that are going to come, as far as that can be told: of a file."""
    facts = os.fstat(STDIN)
    if not stat.S_ISREG(facts.st_mode):
        return 0
    return max(0, facts.st_size - os.lseek(STDIN, 0, os.SEEK_CUR))


def _expect_room(folder: Path, wanted: int) -> None:
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < wanted + ROOM_BYTES:
        raise Temporary(
            f"the disk of {folder} has {free:,} bytes left, and standard input is kept there before a run begins",
            details=(f"{wanted:,} bytes of it are still to come" if wanted else "there is more of it to come",
                     f"{ROOM_BYTES:,} bytes are left free for the run"),
            next_step="Make room there, or set payload_store.base_path to another disk, then feed it again.",
        )  # fmt: skip


def _not_kept(path: Path, error: OSError) -> Temporary:
    return Temporary(
        f"standard input could not be kept in {path}: {why(error)}",
        details=("nothing was begun, and nothing of it is kept",),
        next_step="Mend it, or set payload_store.base_path to another place, then feed it again.",
    )
