"""The file of a journal that a process writes: appended whole, durable in groups."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from threading import Condition

from elspeth import durable
from elspeth.calls.journal.entries import MAGIC

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC


class JournalFile:
    """One file, made new. Used by many threads: those that wait for the disk at the same time share one fsync.

    After an error nothing more is taken: what follows half an entry would never be read. Methods raise `OSError`.
    """

    def __init__(self, folder: Path, stem: str) -> None:
        durable.make_folder(folder)
        number = 1
        while True:
            self.path = folder / f"{stem}-{number:06d}.calls"
            try:
                self._fd = os.open(self.path, _FLAGS, durable.PRIVATE)
                break
            except FileExistsError:
                number += 1
        self._changed = Condition()
        self._error: OSError | None = None
        self._syncing = False
        self._synced = 0
        self.size = 0
        self._put(MAGIC)
        durable.sync_folder(folder)

    def write(self, data: bytes, *, durable: bool) -> None:
        """Append an entry's frame: it survives our death when this returns; `durable`: a power cut."""
        size = self.append(data)
        if durable:
            self.sync(size)

    def append(self, data: bytes | memoryview) -> int:
        """Write an entry's frame; answers the size of the file with it, for `sync`."""
        with self._changed:
            return self._put(data)

    def _put(self, data: bytes | memoryview) -> int:
        if self._error is not None:
            raise self._error
        try:
            durable.write_all(self._fd, data)
        except OSError as error:
            self._error = error
            raise
        self.size += len(data)
        return self.size

    def sync(self, size: int) -> None:
        """Return when this much of the file is durable."""
        with self._changed:
            while self._synced < size:
                if self._error is not None:
                    raise self._error
                if self._syncing:
                    self._changed.wait()
                    continue
                self._syncing = True
                reach = self.size
                self._changed.release()
                failed: OSError | None = None
                try:
                    os.fdatasync(self._fd)
                except OSError as error:
                    failed = error
                finally:
                    self._changed.acquire()
                self._syncing = False
                if failed is None:
                    self._synced = max(self._synced, reach)
                else:
                    self._error = failed  # what the kernel gave up, a second fsync would not mention
                self._changed.notify_all()

    def close(self) -> None:
        """Let go of the file, when nobody writes to it any more."""
        os.close(self._fd)

    def remove(self) -> None:
        """Close and delete it, when what it holds is of no more use."""
        self.close()
        delete(self.path)


def delete(path: Path) -> None:
    """Delete a journal. Where that is refused, it is in nobody's way, and goes with the run."""
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
