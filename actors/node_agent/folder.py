"""The folder that a child on a node works in, with what came along for it; gone when its agent is."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import BinaryIO

from actors.guarded_folder import GuardedFolder

PREFIX = "actors-child-"


class OtherContent(ValueError):
    """A file arrived, and has another hash than it was said to have."""


class Folder:
    """Made for one child. Used in one thread."""

    def __init__(self) -> None:
        self._kept = GuardedFolder(PREFIX)
        self.path = self._kept.path
        self._arriving: BinaryIO | None = None
        self._name = self._sha256 = ""
        self._left = 0  # bytes of it that are still to come
        self._hash = hashlib.sha256()

    def begin(self, name: str, sha256: str, size: int) -> None:
        """A file of this size is about to arrive. Raises `OSError`, `OtherContent`."""
        path = self.path / name
        if not Path(os.path.normpath(path)).is_relative_to(self.path):
            raise OtherContent(f"{name!r} is not in the folder")
        for parent in reversed(path.relative_to(self.path).parents[:-1]):
            (self.path / parent).mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        self._arriving = os.fdopen(descriptor, "wb")
        self._name, self._sha256, self._left, self._hash = name, sha256, size, hashlib.sha256()
        self._end_of_file()

    def content(self, data: bytes | memoryview) -> None:
        """More of it. Raises `OSError`, `OtherContent`."""
        if self._arriving is None or len(data) > self._left:
            raise OtherContent(f"{self._name} is longer than it was said to be")
        self._arriving.write(data)
        self._hash.update(data)
        self._left -= len(data)
        self._end_of_file()

    def remove(self) -> None:
        """With all that is in it."""
        if self._arriving is not None:
            self._arriving.close()
        self._kept.remove()

    def _end_of_file(self) -> None:
        if self._left or self._arriving is None:
            return
        self._arriving.close()
        self._arriving = None
        if self._hash.hexdigest() != self._sha256:
            raise OtherContent(f"{self._name} has not the content that it was said to have")
