"""A file that can be written from a proven position on: locked, checked, cut back, and durable at every flush."""

from __future__ import annotations

import dataclasses
import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from actors.crash_points import crash_point
from elspeth.durable import begin, create_private, foreign_link, make_folder, sync_folder, sync_names, why
from elspeth.errors import ElspethError, OutputDamaged, RunInProgress, Temporary
from elspeth.plugins.contract import Cut, Position
from elspeth.plugins.sinks.prefix_hash import BLOCK, copy_beginning, deleted, disturbed, running_hash
from elspeth.plugins.sinks.truncations import copy_tail

if TYPE_CHECKING:
    from concurrent.futures import Future
    from hashlib import _Hash


def temporary(path: Path, doing: str, error: OSError) -> Temporary:
    """One sentence for what the operating system refused; `doing` is a verb such as "write"."""
    return Temporary(
        f"Cannot {doing} {error.filename or path}: {why(error)}.",
        details=("Everything up to the last commit is kept.",),
        next_step="Mend it, then: elspeth resume latest",
    )


class FileOutput:
    """One output file, held by this process from `lock` until it dies or closes.

    The lock is `flock` on the file itself, so it ends with the process whatever kills it. The SHA-256 of everything
    written runs along, so a position costs no second reading. Bytes given to `write` become part of a position only
    when they are durable.
    """

    def __init__(
        self, path: Path, cut_folder: Path, mode: int | None = None, *, keeps_replaced: bool = False
    ) -> None:  # fmt: skip
        """`path` is the file as the position names it; a symbolic link is followed once, here.

        `mode` is that of a file that is created; None leaves it to the umask. `keeps_replaced`: of the file whose place
        the output takes, a copy is made first.
        """
        self.path = path
        self._target = Path(os.path.realpath(path))
        self._cut_folder = cut_folder
        self._mode = mode
        self._keeps_replaced = keeps_replaced
        self._fd = -1
        self._hash: _Hash
        self._size = 0
        self._pending: list[bytes] = []
        self._pending_size = 0
        self._unsynced = False
        self._syncing: tuple[int, Future[object]] | None = None
        self._lost: ElspethError | None = None
        self._proven: tuple[object, _Hash] | None = None

    @property
    def end(self) -> int:
        """Size of the file in bytes once everything given to `write` is in it."""
        return self._size + self._pending_size

    def check(self, size: int, sha256: str) -> None:
        """Raise `OutputDamaged` unless the file begins with these `size` bytes. Looks only."""
        if size == 0:
            return
        try:
            # Non-blocking, so that a pipe that took the file's place does not hang us.
            fd = os.open(self._target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise deleted(str(self.path), size) from None
        except OSError as error:
            raise temporary(self.path, "read", error) from error
        try:
            self._require_regular(fd)
            facts = _fingerprint(fd, size, sha256)
            self._proven = facts, running_hash(fd, size, sha256, str(self.path))
        finally:
            os.close(fd)

    def lock(self, size: int) -> None:
        """Lock the file; it is created if nothing (`size` is 0) was written to it yet.

        Raises `OutputDamaged`, `RunInProgress` or `Temporary`.
        """
        with self._worded():
            self._prepare(size)
            self._fd = self._locked()

    def cut(self, position: Position) -> list[Cut]:
        """Compare its beginning with `position`, cut off the rest and be ready to write there.

        Raises `OutputDamaged` or `Temporary`; then the file is as it was.
        """
        size = position["size"]
        with self._worded():
            self._hash = self._read_beginning(size, position["sha256"])
            self._size = size
            cuts = self._keep_tail(self._fd, position)
            crash_point("sink.before_cut")
            os.ftruncate(self._fd, size)
            # A cut is not made durable by what is written behind it: there may come nothing, as in the attempt before.
            self._unsynced = True
            crash_point("sink.after_cut")
        return cuts

    def take_over(self, position: Position, prove: Callable[[], None]) -> list[Cut]:
        """Copy the beginning to a new inode that takes the name: who holds the old one writes where nobody looks.

        `prove` is called before the name changes hands. Raises like `lock` and `cut`.
        """
        with self._worded():
            self._prepare(position["size"])
            return self._copied(position, prove)

    def write(self, data: bytes) -> None:
        """Take bytes to be written in order; they are durable after the next `flush`. Raises like `flush`."""
        if not data:
            return
        self._pending.append(data)
        self._pending_size += len(data)
        if self._pending_size >= BLOCK:
            self._drain()

    def begin_flush(self) -> None:
        """Write everything, and begin to make it durable, which `flush` waits for. Raises like `flush`."""
        self._end_sync()
        if self._pending:
            self._drain()
        if self._unsynced:
            crash_point("sink.before_fsync")
            self._syncing = self._size, begin(partial(os.fdatasync, self._fd))

    def flush(self) -> tuple[int, str]:
        """Make everything durable and return size (bytes) and SHA-256 (hex) of the file.

        Raises `Temporary` if the disk does not take it, `OutputDamaged` if somebody else touched the file.
        """
        if self._pending:
            self._drain()
        else:
            self._require_undisturbed()
        if self._unsynced:
            if self._end_sync() != self._size:  # none was begun, or before the last bytes were written
                crash_point("sink.before_fsync")
                self._await(partial(os.fdatasync, self._fd))
            self._unsynced = False
            crash_point("sink.after_fsync")
        return self._size, self._hash.hexdigest()

    def close(self) -> None:
        """Let go of the file and its lock. What was not flushed is forgotten."""
        with suppress(ElspethError):
            self._end_sync()
        if self._fd >= 0:
            os.close(self._fd)
        self._fd = -1
        self._pending = []
        self._pending_size = 0
        self._unsynced = False
        self._lost = None

    def _end_sync(self) -> int | None:
        """Wait for a sync that was begun; answers the size of the file that it covers, None without one."""
        if self._syncing is None:
            return None
        (size, done), self._syncing = self._syncing, None
        self._await(done.result)
        return size

    def _await(self, sync: Callable[[], object]) -> None:
        try:
            sync()
        except OSError as error:
            # After a failed fsync the kernel may have dropped the pages: a second one that succeeds proves nothing.
            self._lost = temporary(self.path, "write", error)
            raise self._lost from error

    def _drain(self) -> None:
        self._require_undisturbed()
        data = self._pending[0] if len(self._pending) == 1 else b"".join(self._pending)
        view = memoryview(data)
        done = 0
        self._unsynced = True
        try:
            while done < len(data):
                done += os.pwrite(self._fd, view[done:], self._size + done)
        except OSError as error:
            raise temporary(self.path, "write", error) from error
        finally:
            # A full disk takes a part: what it took is counted, the rest is kept for the next try.
            self._hash.update(view[:done])
            self._size += done
            self._pending = [data[done:]] if done < len(data) else []
            self._pending_size = len(data) - done

    def _require_undisturbed(self) -> None:
        if self._lost is not None:
            raise self._lost
        held = os.fstat(self._fd)
        try:
            named = self._target.stat()
        except FileNotFoundError:
            raise disturbed(str(self.path), "was deleted") from None
        except OSError as error:
            raise temporary(self.path, "find", error) from error
        if (named.st_dev, named.st_ino) != (held.st_dev, held.st_ino):
            raise disturbed(str(self.path), "was replaced by another file")
        if held.st_size != self._size:
            raise disturbed(str(self.path), f"changed from {self._size:,} to {held.st_size:,} bytes")

    def _require_regular(self, fd: int) -> None:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise self._no_file()

    def _no_file(self) -> OutputDamaged:
        return OutputDamaged(
            f"Output {self.path} is no longer a regular file.",
            details=("Nothing was changed.",),
            next_step="Put the file back as it was and resume.",
        )

    def _require_own_links(self) -> None:
        link = foreign_link(self.path)
        if link is not None:
            raise OutputDamaged(
                f"Output {self.path} leads through the link {link}, which somebody else laid.",
                details=("Nothing was changed.",),
                next_step=f"Remove {link}, put the file back as it was and resume.",
            )

    def _create_if_missing(self, size: int) -> None:
        if self._target.exists():
            return
        if size:
            raise deleted(str(self.path), size)
        make_folder(self._target.parent)
        with suppress(FileExistsError):
            fd = os.open(self._target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, self._mode or 0o666)
            try:
                if self._mode is not None:
                    os.fchmod(fd, self._mode)
            finally:
                os.close(fd)
        crash_point("sink.after_create")

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ELOOP):
                raise self._no_file() from error
            raise temporary(self.path, "open", error) from error

    def _prepare(self, size: int) -> None:
        self._require_own_links()
        self._create_if_missing(size)
        # Whoever made or renamed it may have died before that was on disk.
        sync_names(self._target.parent)

    def _locked(self) -> int:
        """Open and lock the file, and make sure that the name still means the inode that was locked."""
        path = self._target
        while True:
            # Non-blocking, so that a pipe that took the file's place does not hang us. Links were followed before.
            fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                self._require_regular(fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                held, named = os.fstat(fd), path.stat()
            except BlockingIOError:
                os.close(fd)
                raise self._in_progress() from None
            except (OSError, ElspethError):
                os.close(fd)
                raise
            if (held.st_dev, held.st_ino) == (named.st_dev, named.st_ino):
                return fd
            os.close(fd)

    def _in_progress(self) -> RunInProgress:
        return RunInProgress(
            f"Run already in progress: another process is writing {self.path}.",
            next_step="Wait for it, or find it: elspeth runs",
        )

    def _read_beginning(self, size: int, sha256: str) -> _Hash:
        """The running hash up to `size`; what `check` read is not read again if the file was not touched since."""
        if self._proven is not None and self._proven[0] == _fingerprint(self._fd, size, sha256):
            return self._proven[1].copy()
        return running_hash(self._fd, size, sha256, str(self.path))

    def _copied(self, position: Position, prove: Callable[[], None]) -> list[Cut]:
        size = position["size"]
        old = os.open(self._target, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            self._require_regular(old)
            self._fd, new = create_private(self._target.parent, self._copies(), ".takeover")
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._remove_copies(new)
                prove()
                self._hash = copy_beginning(old, self._fd, size, position["sha256"], str(self.path))
                self._size = size
                cuts = self._keep_tail(old, position)
                _take_owner_and_mode(self._fd, os.fstat(old))
                os.fsync(self._fd)
            except (OSError, ElspethError):
                new.unlink(missing_ok=True)
                raise
        finally:
            os.close(old)
        crash_point("sink.before_cut")
        new.replace(self._target)
        sync_folder(self._target.parent)
        crash_point("sink.after_cut")
        return cuts

    def _copies(self) -> str:
        """What the names of this file's copies begin with: of a length of its own, however long the file's name is."""
        return f".elspeth-{hashlib.sha256(os.fsencode(self._target.name)).hexdigest()[:16]}-"

    def _remove_copies(self, mine: Path) -> None:
        """Remove what take-overs left that died. Raises `RunInProgress` if one is under way."""
        for other in mine.parent.glob(f"{self._copies()}*.takeover"):
            if other == mine:
                continue
            try:
                fd = os.open(other, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW)
            except OSError:
                continue  # just renamed or removed, or laid there by somebody else
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                other.unlink(missing_ok=True)
            except BlockingIOError:
                raise self._in_progress() from None
            finally:
                os.close(fd)

    def _keep_tail(self, fd: int, position: Position) -> list[Cut]:
        """Copy what stands behind the position, unless it is an earlier run's file that this run is to overwrite."""
        size = position["size"]
        facts = os.fstat(fd)
        replaces = (position.get("base") or {}).get("replaces")
        replaced = size == 0 and {"size": facts.st_size, "mtime_ns": facts.st_mtime_ns} == replaces
        if facts.st_size <= size or (replaced and not self._keeps_replaced):
            return []
        return [dataclasses.replace(copy_tail(fd, self._target, size, self._cut_folder), replaced=replaced)]


def _take_owner_and_mode(fd: int, old: os.stat_result) -> None:
    """Give a copy the owner and mode of the old file; nobody may read the one who could not read the other."""
    for uid, gid in ((old.st_uid, old.st_gid), (-1, old.st_gid)):
        with suppress(PermissionError):  # only root may give a file away; then it stays ours
            os.fchown(fd, uid, gid)
            break
    same_group = os.fstat(fd).st_gid == old.st_gid
    os.fchmod(fd, old.st_mode & (0o777 if same_group else 0o707))


def _fingerprint(fd: int, size: int, sha256: str) -> object:
    """What changes with any write to the file: nobody can set the time of the last change (ctime) back."""
    facts = os.fstat(fd)
    return facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns, size, sha256
