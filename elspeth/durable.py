"""Files and names that are on disk when a call returns, and that nobody else can have prepared for us.

A file's own fsync covers its bytes, not its name: that is in the folder. Whoever records that a file exists needs both.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

PRIVATE = 0o600
"""What holds row data and is nobody's output can be read by its owner alone."""

AT_ONCE = 8
"""Threads that wait for the disk together: it puts what comes at the same time into one write of its own journal."""


_WORDS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than the system allows",
    errno.EIO: "the disk reports an input/output error",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission was denied",
    errno.EPERM: "the operation is not permitted",
}


def why(error: OSError) -> str:
    """What the operating system refused, in words for whoever has to mend it."""
    return _WORDS.get(error.errno or 0, (error.strerror or str(error)).lower())


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises `OSError`."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents, durably. Raises `OSError`."""
    missing = []
    here = folder
    while not here.exists():
        missing.append(here)
        here = here.parent
    for new in reversed(missing):
        new.mkdir(exist_ok=True)
    sync_names(folder)


def sync_names(folder: Path) -> None:
    """Make the names in a folder durable, its own, and those on the way to it, whoever made them. Raises `OSError`.

    A folder that is there may be the work of a process that died before it was on disk. Ends at the working directory,
    where a file system begins, and at a folder that we may not write to, because we cannot have made a name in it.
    """
    here = Path(os.path.realpath(folder))
    sync_folder(here)
    end = _working_directory()
    while here != end and not os.path.ismount(here):
        here = here.parent
        if not os.access(here, os.R_OK | os.W_OK | os.X_OK):
            return
        sync_folder(here)


def create_private(folder: Path, prefix: str, suffix: str, mode: int = PRIVATE) -> tuple[int, Path]:
    """A new file under a name nobody can guess, by default for its owner alone; its descriptor and path.

    A file or link that is there already is never opened. Raises `OSError`.
    """
    while True:
        path = folder / f"{prefix}{secrets.token_hex(8)}{suffix}"
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode), path
        except FileExistsError:
            continue


def foreign_link(path: Path, depth: int = 40) -> Path | None:
    """The first symbolic link on the way to a file that was laid by nobody of us, root and its folder's owner.

    Whoever may write to a folder on the way could send us anywhere with it. Raises `OSError` in a circle of links.
    """
    if depth == 0:
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    whole = path.absolute()
    for here in (*reversed(whole.parents), whole):
        try:
            link = os.lstat(here)
            if not stat.S_ISLNK(link.st_mode):
                continue
            if link.st_uid not in (os.geteuid(), 0, here.parent.stat().st_uid):
                return here
            further = foreign_link(here.parent / here.readlink(), depth - 1)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            return None
        if further is not None:
            return further
    return None


def write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of it where the file stands. Raises `OSError`."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def keep(path: Path, content: bytes, mode: int = PRIVATE) -> None:
    """Put a whole file under a name, in place of what was there, durably: after a death it is the old or the new one.

    The umask takes its part off `mode`. Raises `OSError`; then the old one is as it was.
    """
    make_folder(path.parent)
    put(path, content, mode, sync=os.fsync)
    sync_folder(path.parent)


def put(path: Path, content: bytes, mode: int = PRIVATE, *, sync: Callable[[int], object] = lambda fd: None) -> None:
    """Put a whole file under a name: who opens it finds the old one or the new one. Only `sync` waits for the disk.

    The umask takes its part off `mode`. Raises `OSError`; then the old one is as it was.
    """
    fd, partial = create_private(path.parent, ".elspeth-", ".partial", mode)
    try:
        try:
            write_all(fd, content)
            sync(fd)
        finally:
            os.close(fd)
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def together(actions: Iterable[Callable[[], object]]) -> None:
    """Carry out what waits for the disk side by side. When it returns all are done; raises what one of them raised."""
    actions = list(actions)
    if len(actions) < 2:
        for action in actions:
            action()
        return
    done = [begin(action) for action in actions]
    errors = [future.exception() for future in done]
    for error in filter(None, errors):
        raise error


def begin(action: Callable[[], object]) -> Future[object]:
    """Begin what waits for the disk, beside what this process does meanwhile; `result()` waits, and raises what it
    raised."""
    return _pool().submit(action)


@cache
def _pool() -> ThreadPoolExecutor:
    from concurrent.futures import ThreadPoolExecutor  # few programs that import this have so much to write

    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="disk")


def _working_directory() -> Path | None:
    try:
        return Path.cwd().resolve()
    except OSError:  # it was removed
        return None
