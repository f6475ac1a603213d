"""What the system can refuse a program, and what ends it, as an error that names the cause: no bug of ours."""

from __future__ import annotations

import errno
import os
import traceback

from actors.places.local.oom import address_space_limit
from elspeth.errors import ElspethError, Temporary

LEAST_ADDRESS_SPACE = 96 << 20
"""In bytes. With less, commands end in the middle of an import, some of them killed by a library that finds none."""

MEMORY = "out of memory"
"""What every message about too little memory says."""

_UNMAPPED = ("failed to map segment", "cannot allocate memory", "cannot map zero-fill pages")
"""What the dynamic linker says of a library for which there is no memory, in an `ImportError` without a number."""

_CAUSES = {
    errno.EAGAIN: ("the system has no room for another process or thread", "raise the limit (ulimit -u, pids.max)"),
    errno.ENOMEM: ("there is no memory left for it", "give it more memory (ulimit -v, the container's limit)"),
    errno.EMFILE: ("this process may open no more files", "raise the limit (ulimit -n)"),
    errno.ENFILE: ("the system can open no more files", "close some, or raise fs.file-max"),
    errno.ENOSPC: ("there is no space left on the disk, or no inode", "make room"),
    errno.EDQUOT: ("the disk quota is used up", "make room"),
    errno.EFBIG: ("the file would get larger than this process may write", "raise the limit (ulimit -f)"),
    errno.EROFS: ("the file system can only be read", "mount it so that it can be written"),
    errno.EIO: ("the device failed to read or write", "look at the system's log"),
    errno.ESTALE: ("the network file system has lost it", "mount it again"),
}


def refusal(error: BaseException) -> Temporary | None:
    """The error in words, if it says what the system lacks or forbids; None if it is something else."""
    if isinstance(error, MemoryError) or _is_short_of_memory(error):
        return Temporary(f"{MEMORY}: {_CAUSES[errno.ENOMEM][0]}", next_step=_step(errno.ENOMEM))
    if isinstance(error, RuntimeError) and "can't start new thread" in str(error):
        return _no_thread(address_space_limit())
    if not isinstance(error, OSError):
        return None
    path = "" if error.filename is None else os.fsdecode(error.filename)
    if isinstance(error, FileNotFoundError):
        return _missing(path)
    if error.errno not in _CAUSES:
        return None
    words = f"{MEMORY}: {_CAUSES[errno.ENOMEM][0]}" if error.errno == errno.ENOMEM else _CAUSES[error.errno][0]
    return Temporary(f"{path}: {words}" if path else words, next_step=_step(error.errno))


def ended_by(error: SystemExit) -> ElspethError:
    """Nothing of ours ends the program in the middle: a plugin does, where it looks at inputs and outputs."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return ElspethError(
        f"a plugin ended the program: sys.exit({error.code!r}) at {frame.filename}:{frame.lineno}",
        next_step="have it raise an exception that says what is wrong",
    )


def _is_short_of_memory(error: BaseException) -> bool:
    if isinstance(error, SystemError):  # parts of Python itself forget to say MemoryError
        return "without exception set" in str(error) and address_space_limit() is not None
    return isinstance(error, ImportError) and any(words in str(error).lower() for words in _UNMAPPED)


def require_address_space() -> None:
    """Raise `Temporary` where the limit on this process's address space leaves no room for a command."""
    limit = address_space_limit()
    if limit is not None and limit < LEAST_ADDRESS_SPACE:
        raise Temporary(
            f"{MEMORY}: the address space limit, ulimit -v, is {limit / 2**20:,.0f} MiB; a command needs at least "
            f"{LEAST_ADDRESS_SPACE / 2**20:,.0f} MiB",
            next_step=_step(errno.ENOMEM),
        )


def _no_thread(limit: int | None) -> Temporary:
    if limit is None:
        return Temporary(_CAUSES[errno.EAGAIN][0], next_step=_step(errno.EAGAIN))
    return Temporary(
        f"{MEMORY}: there is no room for another thread; the address space limit, ulimit -v, is "
        f"{limit / 2**20:,.0f} MiB",
        next_step=_step(errno.ENOMEM),
    )


def _missing(path: str) -> Temporary | None:
    if path.startswith("/proc"):
        return Temporary(
            f"{path} is not there: /proc is not mounted, and nobody can be told from anybody else without it",
            next_step="mount it (mount -t proc proc /proc), then run the same command again",
        )
    try:
        os.getcwd()  # noqa: PTH109
    except FileNotFoundError:
        return Temporary(
            "the working directory has been deleted", next_step="change into one that is there (cd), then try again"
        )
    return None


def _step(number: int) -> str:
    return f"{_CAUSES[number][1]}, then run the same command again"
