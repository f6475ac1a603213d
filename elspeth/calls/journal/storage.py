"""Where the journals of calls are kept: files of a folder, one process's beside those of others."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from elspeth.calls.journal.writer import JournalFile, delete


class EntryFile(Protocol):
    """A file that one process writes. Used by many threads; methods raise `OSError` where the disk refuses."""

    size: int

    def write(self, data: bytes, *, durable: bool) -> None:
        """Append an entry's frame: it survives the death of its writer when this returns; `durable`: a power cut."""

    def remove(self) -> None:
        """Nobody writes to it any more, and what it holds is of no more use."""


class Storage(Protocol):
    """The files of one process and those of others. `folder` is where they are, for people."""

    folder: Path

    def begin(self) -> EntryFile:
        """A new file of this process. Raises `OSError`."""

    def news(self, read: Mapping[str, int]) -> list[tuple[str, bytes]]:
        """What stands in the files of others behind so many bytes of each, by their names, in order.

        Of a file that is not in `read`, everything; of one that is gone, nothing. Raises `OSError`.
        """

    def remove(self, name: str) -> None:
        """The file that another process left is of no more use."""


class Disk:
    """Files of this machine. Those of this process are called `stem`, and a number that nobody used before."""

    def __init__(self, folder: Path, stem: str) -> None:
        self.folder = folder
        self._stem = stem
        self._mine: set[str] = set()

    def begin(self) -> JournalFile:
        """A new file. Raises `OSError`."""
        file = JournalFile(self.folder, self._stem)
        self._mine.add(file.path.name)
        return file

    def news(self, read: Mapping[str, int]) -> list[tuple[str, bytes]]:
        """What others have written since. Raises `OSError`."""
        found = []
        for name in names(self.folder):
            if name not in self._mine:
                with contextlib.suppress(FileNotFoundError), (self.folder / name).open("rb") as file:
                    file.seek(read.get(name, 0))
                    found.append((name, file.read()))
        return found

    def remove(self, name: str) -> None:
        """Delete it."""
        delete(self.folder / name)


def stem_of(attempt: int, child: str) -> str:
    """What the files of a process are called: by its attempt, and its name among the children of the run."""
    return f"{attempt:04d}-{child}"


def writer_of(name: str) -> tuple[str, str]:
    """The attempt (four digits) and the child that wrote the file of this name."""
    attempt, _, child = name.rpartition("-")[0].partition("-")
    return attempt, child


def names(folder: Path) -> list[str]:
    """The journals in a folder, in order."""
    try:
        return sorted(path.name for path in folder.iterdir() if path.suffix == ".calls")
    except (FileNotFoundError, NotADirectoryError):  # what is in the way is told when something is to be written
        return []
