"""A place that starts children in empty folders of their own, with what goes along with them, and nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from actors.child import Port
from actors.places.local.place import LocalChild, LocalPlace
from actors.spec import ChildSpec
from elspeth.roles.worker import WorkerRole


class Elsewhere(LocalPlace):
    """Nothing in `head`, the folder of the run, is to be touched by those who are started here."""

    def __init__(self, head: Path) -> None:
        super().__init__(watchdog_seconds=120.0)
        self._head = head
        self._folders = Path(tempfile.mkdtemp(prefix="elsewhere-"))
        self._number = 0

    def start(self, spec: ChildSpec, announce: Callable[[], None]) -> LocalChild:
        """Its folder has the files that go along, and no others."""
        self._number += 1
        folder = self._folders / str(self._number)
        folder.mkdir()
        for given in spec.files:
            place = folder / given.name
            place.parent.mkdir(parents=True, exist_ok=True)
            content = Path(given.path).read_bytes()
            assert hashlib.sha256(content).hexdigest() == given.sha256, given
            place.write_bytes(content)
        argument = b"\0".join([os.fsencode(folder), os.fsencode(self._head), spec.argument])
        there = replace(spec, target=f"{__name__}:WorkerElsewhere", argument=argument, files=())
        return super().start(there, announce)

    def close(self) -> None:
        """Leave nothing behind."""
        super().close()
        shutil.rmtree(self._folders, ignore_errors=True)


class WorkerElsewhere(WorkerRole):
    """A worker that ends at once where it touches the folder of its run."""

    def __init__(self, port: Port, argument: bytes = b"") -> None:
        folder, head, plan = argument.split(b"\0", 2)
        os.chdir(folder)
        refuse(head.decode())
        super().__init__(port, plan)


def refuse(head: str) -> None:
    """From now on whatever reaches below this folder ends the process."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "sqlite3.connect", "os.listdir", "os.scandir", "os.chdir", "os.mkdir", "os.rename"):
            path = arguments[0]
            path = os.fspath(path) if isinstance(path, str | bytes | os.PathLike) else ""
            if os.fsdecode(path).startswith(head):
                sys.stderr.write(f"touched the head machine: {event} {path!r}\n")
                sys.stderr.flush()
                os._exit(99)

    sys.addaudithook(look)
