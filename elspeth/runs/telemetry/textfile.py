"""A file of metrics for the node exporter's textfile collector: always a whole one, and never somebody else's."""

from __future__ import annotations

from pathlib import Path

from elspeth.durable import foreign_link, put
from elspeth.file_identity import NotRegularFile, open_regular
from elspeth.runs.telemetry.metrics import PREFIX

MARK = f"# HELP {PREFIX}"
"""What a file of metrics begins with: it may take the place of another one, and of no other file."""

MODE = 0o644
"""The collector is another user."""


class TextFile:
    """The file at this path; `named` is how the settings name it."""

    def __init__(self, path: Path, named: str) -> None:
        self._path = path
        self._named = named

    def write(self, text: str) -> None:
        """Put this text in place of the one before. Raises `OSError`, also where something else is there."""
        path = self._path
        if not _may_be_replaced(path):
            raise FileExistsError(0, "it is there, and is no file of metrics", self._named)
        if (link := foreign_link(path)) is not None:
            raise PermissionError(0, "a link on the way was laid by another user", str(link))
        put(path, text.encode(), MODE)  # not synced: after a power cut nobody asks for these numbers


def _may_be_replaced(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            return file.read(len(MARK)) in (MARK.encode(), b"")
    except FileNotFoundError:
        return True
    except NotRegularFile:
        return False
