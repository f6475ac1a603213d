"""Tells files apart by what they are, not by what they are called: links do not hide that two names are one file."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from elspeth.errors import SettingsError
from elspeth.located import located


def identity(path: Path) -> tuple[int, int] | str:
    """What tells a file from others: device and inode, or its real path where there is none yet."""
    try:
        found = path.stat()
    except OSError:
        return os.path.realpath(path)
    return found.st_dev, found.st_ino


class NotRegularFile(OSError):
    """A folder, pipe, socket or device stands where a file should be."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "it is no regular file", str(path))


def open_regular(path: Path) -> io.BufferedReader:
    """Open a file to read its bytes; raises `NotRegularFile` for anything else, `OSError` where it cannot be opened.

    For files that were ours and may have been replaced: a pipe would let us wait for ever, and a device has no end.
    """
    descriptor = os.open(located(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise NotRegularFile(path)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def require_apart(outputs: Iterable[Path], taken: Mapping[str, str]) -> None:
    """Raise `SettingsError` if one of these outputs is one of the files that are something else: `taken` says what.

    Asked right before outputs are opened: a link may have been laid since the settings were checked.
    """
    others = {identity(Path(path)): what for path, what in taken.items()}
    for output in outputs:
        if (what := others.get(identity(output))) is not None:
            raise SettingsError(
                f"the output {output} is {what}, so nothing is written to it",
                next_step="remove the link, or give the sink another path and start a new run",
            )
