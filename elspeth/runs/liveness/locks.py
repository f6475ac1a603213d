"""The lock of an attempt: a file that the main process holds locked until it dies, and that anybody can ask about.

Two locks are held on the file. The open file description lock (fcntl(2), OFD) decides, because it can be asked about
(`F_OFD_GETLK`) without being taken: a question never makes somebody's attempt to lock fail. The `flock` beside it is
for other programs, such as flock(1), and for systems that know no OFD locks. Both belong to the open file, reach
across containers that share the folder, are not inherited, and end with the process, however it ends.

A name that is deleted and made again could be locked twice: so only who holds the lock deletes the file, and whoever
takes a lock looks afterwards whether the name still leads to it. A file goes when nothing can need it: its attempt has
ended for good. The text is for people, but for its inode number: it tells the file itself from a copy of it, whose lock
says nothing.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import struct
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from actors.crash_points import crash_point
from elspeth.canonical import JsonObject
from elspeth.errors import RunInProgress, Temporary
from elspeth.runs.liveness.identity import AttemptIdentity
from elspeth.runs.liveness.row_mark import mark_path

LockState = Literal["held", "free", "unreachable"]

_FLOCK = "hhqqi4x"  # struct flock of Linux on 64 bits: type, whence, start, length (0: all), pid (0 for OFD)
_BUSY = (errno.EAGAIN, errno.EACCES)
_PATIENCE_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Probe:
    """What asking about a lock gave. `detail` says why it is unreachable; `path` is the file that was asked about.

    `undescribed`: nobody holds it, and its text is missing, which a power cut can do to one that was just written.
    """

    state: LockState
    path: Path
    detail: str = ""
    undescribed: bool = False


def lock_path(database: Path, run_id: str, attempt: int) -> Path:
    """Where the lock of an attempt lies: in the folder `locks` beside the audit database. Absolute."""
    return Path(os.path.realpath(database)).parent / "locks" / f"{run_id}.{attempt}.lock"


class AttemptLock:
    """A lock that is held. Lives as long as the attempt: the end of the process lets go of it, whatever happens."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor: int | None = descriptor

    @classmethod
    def acquire(
        cls,
        identity: AttemptIdentity,
        *,
        patience: float = _PATIENCE_SECONDS,
        pause: Callable[[float], None] = time.sleep,
    ) -> AttemptLock:
        """Take the lock at `identity.lock_path`, without waiting for a holder, and write who holds it into the file.

        `patience` is how long, in seconds, to put up with other programs that only look at the `flock`. Raises
        `RunInProgress` if somebody holds it, `Temporary` if the file cannot be made or written.
        """
        path = Path(identity.lock_path)
        while True:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise _unusable(path, error) from error
            try:
                if not _take_ofd(descriptor) or not _take_flock(descriptor, patience, pause):
                    raise _in_progress(path)
                crash_point("main.lock_taken")
                if not _leads_to(path, descriptor):  # deleted by who had it just now: this one guards nothing
                    os.close(descriptor)
                    continue
                _describe(descriptor, identity)
                crash_point("main.before_lock_sync")
                _sync(descriptor, path.parent)
            except OSError as error:
                os.close(descriptor)
                raise _unusable(path, error) from error
            except BaseException:
                os.close(descriptor)
                raise
            return cls(path, descriptor)

    @property
    def name(self) -> str:
        """What is recorded of it: its path."""
        return str(self.path.absolute())

    def discard(self) -> None:
        """Delete the file and let go of the lock: the attempt has ended for good."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):  # a folder that cannot be written keeps it, which harms nobody
                if _leads_to(self.path, self._descriptor):
                    _delete(self.path)
        crash_point("main.lock_discarded")
        self.release()

    def release(self) -> None:
        """Let go of the lock. The file stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> AttemptLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()


def sweep(paths: Iterable[Path]) -> list[Path]:
    """Delete those of these lock files that nobody holds; answers which."""
    swept = []
    for path in paths:
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if _take_ofd(descriptor) and _take_flock(descriptor, 0, time.sleep) and _leads_to(path, descriptor):
                    _delete(path)
                    swept.append(path)
            finally:
                os.close(descriptor)
    return swept


def _delete(path: Path) -> None:
    """The mark of its attempt goes first: without the lock nobody would look for it."""
    mark_path(path).unlink(missing_ok=True)
    path.unlink()


def _leads_to(path: Path, descriptor: int) -> bool:
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    mine = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def probe(path: Path) -> Probe:
    """Ask whether somebody holds the lock, without disturbing anybody. Raises nothing: what cannot be asked about is
    `unreachable`, with the reason.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        return Probe("unreachable", path, f"{path}: {error.strerror}")
    try:
        if (written := _text(descriptor).get("inode")) != os.fstat(descriptor).st_ino:
            detail = "its holder has not described it yet" if written is None else "a copy of the lock file, not itself"
            # A holder that is just about to write is a holder; everything else that is no lock file says nothing.
            state: LockState = "held" if _is_held(descriptor) else "unreachable"
            return Probe(state, path, f"{path}: {detail}", undescribed=written is None)
        return Probe("held" if _is_held(descriptor) else "free", path)
    except OSError as error:
        return Probe("unreachable", path, f"{path}: {error.strerror}")
    finally:
        os.close(descriptor)


def holder(path: Path) -> AttemptIdentity | None:
    """The last holder, as it described itself in the file; None if that cannot be read."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return AttemptIdentity.from_columns(_text(descriptor))
    except KeyError:
        return None
    finally:
        os.close(descriptor)


def _take_ofd(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except OSError as error:
        if error.errno in _BUSY:
            return False
        if error.errno != errno.EINVAL:  # a file system without OFD locks: the flock decides alone
            raise
    return True


def _take_flock(descriptor: int, patience: float, pause: Callable[[float], None]) -> bool:
    left = patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if left <= 0:
                return False
        else:
            return True
        pause(0.01)
        left -= 0.01


def _is_held(descriptor: int) -> bool:
    question = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, question)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return _flock_is_held(descriptor)
    return bool(struct.unpack(_FLOCK, answer)[0] != fcntl.F_UNLCK)


def _flock_is_held(descriptor: int) -> bool:
    # A shared lock, let go of at once: two questions do not meet, and whoever wants to lock is patient.
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    fcntl.flock(descriptor, fcntl.LOCK_UN)
    return False


def _describe(descriptor: int, identity: AttemptIdentity) -> None:
    text = json.dumps({**asdict(identity), "inode": os.fstat(descriptor).st_ino}, indent=1) + "\n"
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _sync(descriptor: int, folder: Path) -> None:
    """Once, when it is taken: after a power cut the file is to say whose it was, and to be there."""
    os.fsync(descriptor)
    for place in (folder, folder.parent):
        names = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(names)
        finally:
            os.close(names)


def _text(descriptor: int) -> JsonObject:
    try:
        value = json.loads(os.pread(descriptor, 65_536, 0))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _in_progress(path: Path) -> RunInProgress:
    who = holder(path)
    known = "unknown" if who is None else f"pid {who.pid} on {who.host}, {who.user}: {who.command_line}"
    return RunInProgress(
        "Run already in progress: another process holds the lock of this attempt.",
        details=[f"holder: {known}", f"lock: {path}"],
        next_step="`elspeth doctor` says what is true of it.",
    )


def _unusable(path: Path, error: OSError) -> Temporary:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    mend = "Make room on its disk" if full else "Make its folder writable for this user"
    return Temporary(
        f"The lock file {path} cannot be used: {error.strerror}.",
        next_step=f"{mend}, then run the same command again.",
    )
