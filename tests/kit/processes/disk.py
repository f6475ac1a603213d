"""Writes down what is asked of the disk, in order: which file is written, synced, cut, renamed or removed, and when."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Call = tuple[str, str]


class Disk:
    """The calls below a folder since it was begun: `("write" | "sync" | "cut" | "create" | "name" | "remove", path)`.

    A sync of a folder is a `sync` of its path; `name` is a rename, with the new path.
    """

    def __init__(self, patch: pytest.MonkeyPatch, below: Path) -> None:
        self._below = below
        self.calls: list[Call] = []
        self._lock = threading.Lock()
        for name in ("fsync", "fdatasync"):
            self._by_descriptor(patch, name, "sync")
        for name in ("pwrite", "write"):
            self._by_descriptor(patch, name, "write")
        self._by_descriptor(patch, "ftruncate", "cut")
        for name in ("rename", "replace"):
            self._by_path(patch, name, "name", 1)
        for name in ("unlink", "remove"):
            self._by_path(patch, name, "remove", 0)
        self._by_path(patch, "mkdir", "create", 0)
        self._opens(patch)

    def _note(self, what: str, path: str) -> None:
        if Path(path).is_relative_to(self._below):
            with self._lock:
                self.calls.append((what, path))

    def _by_descriptor(self, patch: pytest.MonkeyPatch, name: str, what: str) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(fd: int, *rest: Any) -> Any:
            path = str(Path(f"/proc/self/fd/{fd}").readlink())
            before = os.fstat(fd).st_size
            done = real(fd, *rest)
            if what != "cut" or os.fstat(fd).st_size != before:
                self._note(what, path)
            return done

        patch.setattr(os, name, call)

    def _by_path(self, patch: pytest.MonkeyPatch, name: str, what: str, which: int) -> None:
        real: Callable[..., Any] = getattr(os, name)

        def call(*paths: Any, **options: Any) -> Any:
            done = real(*paths, **options)
            self._note(what, os.fspath(paths[which]))
            return done

        patch.setattr(os, name, call)

    def _opens(self, patch: pytest.MonkeyPatch) -> None:
        real = os.open

        def call(path: Any, flags: int, *rest: Any, **options: Any) -> int:
            new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
            fd = real(path, flags, *rest, **options)
            if new:
                self._note("create", os.fspath(path))
            return fd

        patch.setattr(os, "open", call)

    def unsynced(self) -> list[str]:
        """What would not be there after a power cut now: files with bytes or sizes, folders with names, not synced."""
        dirty: dict[str, None] = {}
        for what, path in self.calls:
            if what == "sync":
                dirty.pop(path, None)
            elif what in ("write", "cut"):
                dirty[path] = None
            else:
                dirty[str(Path(path).parent)] = None
                if what == "remove":
                    dirty.pop(path, None)
        return list(dirty)
