"""A worker that ends at once where it touches the folder of its run."""

from __future__ import annotations

import os
import sys
from typing import Any

from elspeth.roles.worker import WorkerRole

HEAD = "ELSEWHERE_HEAD"
"""The variable that says which folder is not to be touched."""

_EVENTS = ("open", "sqlite3.connect", "os.listdir", "os.scandir", "os.chdir", "os.mkdir", "os.rename")


class WorkerElsewhere(WorkerRole):
    """What a worker does, and nothing in the folder of the run is there for it."""

    def on_start(self) -> None:
        """Before anything else the folder is out of reach."""
        refuse(os.environ[HEAD])
        super().on_start()


def refuse(head: str) -> None:
    """From now on whatever reaches below this folder ends the process."""

    def look(event: str, arguments: tuple[Any, ...]) -> None:
        if event in _EVENTS:
            path = arguments[0]
            path = os.fspath(path) if isinstance(path, str | bytes | os.PathLike) else ""
            if os.fsdecode(path).startswith(head):
                sys.stderr.write(f"touched the head machine: {event} {path!r}\n")
                sys.stderr.flush()
                os._exit(99)

    sys.addaudithook(look)
