"""An audit database as somebody looks at it who has runs in mind: which there are, and one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from elspeth.api.recorded import RecordedRun
from elspeth.audit.query.locate import locate
from elspeth.audit.query.reader import LATEST, AuditReader
from elspeth.audit.store.place import Place


class AuditDatabase:
    """The runs of one audit database. Opened for each question anew, and read only: it stands in nobody's way."""

    def __init__(self, path: Place) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"elspeth.open({str(self.path)!r})"

    def run(self, reference: str = LATEST) -> RecordedRun:
        """The run with this id, with the one id that begins so, or the `latest`. Raises `RunNotFound`."""
        with AuditReader(self.path) as reader:
            return RecordedRun(self.path, reader.run(reference).run_id)

    def runs(self) -> list[RecordedRun]:
        """All runs, latest first."""
        with AuditReader(self.path) as reader:
            return [RecordedRun(self.path, run.run_id) for run in reader.runs()]

    def __iter__(self) -> Iterator[RecordedRun]:
        return iter(self.runs())


def open(database: str | os.PathLike[str] | None = None) -> AuditDatabase:
    """The audit database at this path or URL, or the one that commands in this folder would find.

    Raises `ElspethError` where there is none, saying where was looked.
    """
    named = None if database is None else os.fspath(database)
    return AuditDatabase(locate(named, os.environ, Path.cwd()).absolute())
