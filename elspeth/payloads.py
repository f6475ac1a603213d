"""The payload store: data too large for the database, in files named by their own SHA-256."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Protocol

from actors.crash_points import crash_point
from elspeth.durable import create_private, sync_folder, sync_names, together, why, write_all
from elspeth.errors import Temporary
from elspeth.file_identity import open_regular

OPEN_FILES = 64
"""Contents that wait to be brought to disk together; each holds a file open."""

_REFERENCE = re.compile(r"[0-9a-f]{64}")


_PARTIAL = ".partial"


class Payloads(Protocol):
    """Where what is too large for the database is put by who makes it. Several threads may use one."""

    inline_limit: int

    def put(self, content: bytes) -> str:
        """Keep this content; returns its reference, good after `write_out`. Raises `Temporary`."""

    def write_out(self) -> None:
        """Have it on its way to the disk, in front of any record that mentions it. Raises `Temporary`."""


class NotAReference(ValueError):
    """Only the 64 hexadecimal digits of a SHA-256 are a reference: anything else could be the path of any file."""


def is_reference(text: object) -> bool:
    """Whether this can be the name of something in a payload store."""
    return isinstance(text, str) and _REFERENCE.fullmatch(text) is not None


class PayloadStore:
    """Content-addressed files under `base`. Writing the same content twice is writing it once.

    A file appears under its name only when it is whole and on disk, which it is when `write_out` has returned. Its name
    is brought to disk by whoever commits a record that mentions it: many processes write, one commits, and a folder is
    synced once for all that came into it meanwhile. Several threads may use one store.
    """

    def __init__(self, base: Path, inline_limit: int = 65536) -> None:
        self.base = base
        self.inline_limit = inline_limit
        self._lock = threading.Lock()
        self._unsynced: dict[str, tuple[int, Path]] = {}
        self._named: set[Path] = set()  # folders whose own names are known to be on disk

    def path(self, reference: str) -> Path:
        """Where the content with this SHA-256 (hex) is kept. Raises `NotAReference`."""
        if not is_reference(reference):
            raise NotAReference(f"{str(reference)[:80]!r} is no reference into a payload store")
        return self.base / reference[:2] / reference[2:]

    def put(self, content: bytes) -> str:
        """Keep this content; returns its reference, good after `write_out`. Raises `Temporary` if the disk is full."""
        reference = hashlib.sha256(content).hexdigest()
        path = self.path(reference)
        with self._lock, self._worded():
            if reference in self._unsynced or path.exists():
                return reference
            path.parent.mkdir(parents=True, exist_ok=True)
            fd, partial_file = _create_partial(path)
            self._unsynced[reference] = fd, partial_file
            write_all(fd, content)
            crash_point("payloads.after_put")
            if len(self._unsynced) >= OPEN_FILES:
                self._write_out()
        return reference

    def write_out(self) -> None:
        """Bring everything that was put to disk, and give it its name. Raises `Temporary`.

        Called before a record that mentions a reference leaves the process.
        """
        if self._unsynced:
            with self._lock, self._worded():
                self._write_out()

    def sync_names(self, references: Iterable[str]) -> None:
        """Bring the names of what was written out to disk, whoever wrote it. Raises `Temporary`.

        Called before the commit of the records that mention these. What is there may be of a process that died before
        it was on record, so that nothing is taken for synced but what this call syncs.
        """
        folders = {self.path(reference).parent for reference in references}
        if not folders:
            return
        with self._worded():
            crash_point("payloads.before_names")
            together(partial(sync_folder, folder) for folder in sorted(folders))
            if not folders <= self._named:
                sync_names(self.base)
                self._named |= folders
            crash_point("payloads.after_names")

    def remove_leftovers(self) -> int:
        """Remove what processes that died had begun to write, and no record names; answers how many. Raises `OSError`.

        Who is still writing holds a lock on his file.
        """
        gone = 0
        for path in self.base.glob(f"??/*{_PARTIAL}"):
            try:
                fd = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            except FileNotFoundError:
                continue  # it has its name by now
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink(missing_ok=True)
                gone += 1
            except BlockingIOError:
                continue
            finally:
                os.close(fd)
        return gone

    def get(self, reference: str) -> bytes:
        """The content behind a reference. Raises `FileNotFoundError`, or `ValueError` if it is not what it was."""
        content = self.read(reference)
        if hashlib.sha256(content).hexdigest() != reference:
            raise ValueError(f"payload {reference} was changed since it was written")
        return content

    def read(self, reference: str) -> bytes:
        """What stands under this reference, whether or not it is what it was. Raises `OSError`."""
        with open_regular(self.path(reference)) as file:
            return file.read()

    def _write_out(self) -> None:
        together(partial(os.fsync, fd) for fd, _ in self._unsynced.values())
        crash_point("payloads.before_named")
        while self._unsynced:
            reference, (fd, partial_file) = self._unsynced.popitem()
            os.close(fd)
            partial_file.replace(self.path(reference))

    @contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            for fd, partial_file in self._unsynced.values():
                with suppress(OSError):
                    os.close(fd)
                    partial_file.unlink(missing_ok=True)
            self._unsynced.clear()
            raise Temporary(
                f"Cannot write {error.filename or self.base}: {why(error)}.",
                details=("Everything up to the last commit is kept.",),
                next_step="Mend it, then: elspeth resume latest",
            ) from error


def _create_partial(path: Path) -> tuple[int, Path]:
    """A locked file beside the one that is to be: who removes leftovers sees that it is none. Raises `OSError`."""
    while True:
        fd, partial_file = create_private(path.parent, f"{path.name[:16]}.", _PARTIAL)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # just taken for a leftover
            os.close(fd)
            continue
        if os.fstat(fd).st_nlink:
            return fd, partial_file
        os.close(fd)
